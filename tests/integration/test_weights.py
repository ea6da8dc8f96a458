"""Weights of examples and of classes count as they do in keras' fit and evaluate."""

import json

import keras
import numpy as np
import pytest
from job import history, manifest

ROWS, BATCH = 90, 16


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(4)
    arrays = {
        "x": random.normal(size=(ROWS, 5)).astype(np.float32),
        "y": random.integers(0, 3, size=ROWS),
        "r": random.normal(size=(ROWS, 1)).astype(np.float32),
        "w": random.choice([0.0, 0.5, 1.0, 3.0], size=ROWS),
        "v": random.integers(0, 4, size=ROWS),
    }
    np.savez(tmp_path / "data.npz", **arrays)
    columns = ["a", "b", "c", "d", "e", "label", "weight"]
    rows = np.column_stack([arrays["x"], arrays["y"], arrays["w"]])
    lines = [",".join(columns)] + [
        ",".join([*(repr(float(v)) for v in row[:5]), str(int(row[5])), repr(float(row[6]))]) for row in rows
    ]
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    return arrays


def classifier():
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(
        keras.optimizers.SGD(0.2),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["accuracy", "sparse_categorical_crossentropy"],
    )
    return model


def two_outputs():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(6, activation="tanh")(inputs)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(hidden)
    size = keras.layers.Dense(1, name="size")(hidden)
    model = keras.Model(inputs, [kind, size])
    model.compile(
        "sgd",
        loss=["sparse_categorical_crossentropy", "mse"],
        weighted_metrics=[["accuracy"], ["mae"]],
    )
    return model


def job(folder, model, uri="data.npz", **fields):
    model.save(folder / "model.keras")
    path = manifest(folder, None, **fields)
    document = json.loads(path.read_text())
    document["spec"]["model"] = {"uri": "model.keras"}
    document["spec"]["data"]["uri"] = uri
    path.write_text(json.dumps(document))
    return path


def training(**fields):
    fit = {"epochs": 3, "batchSize": BATCH, "shuffle": False, "validationSplit": 0.2, **fields.pop("fit", {})}
    return {"mode": "synchronous", "frequency": "batch", "data_partitions": 1, "fit": fit, **fields}


def keras_fit(model, x, y, **arguments):
    return model.fit(
        x, y, epochs=3, batch_size=BATCH, shuffle=False, validation_split=0.2, verbose=0, **arguments
    ).history


def assert_trained_alike(folder, model, expected):
    ours = history(folder)
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    written = keras.models.load_model(folder / "out" / "model.keras")
    for weight, other in zip(written.get_weights(), model.get_weights()):
        np.testing.assert_allclose(weight, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weights", ["w", "v"], ids=["floats", "integers"])
def test_sample_weights_train_and_validate_as_keras_does(tmp_path, run, data, weights):
    model = classifier()
    run(job(tmp_path, model, **training(data_sampleWeights=weights)), "--quiet")
    expected = keras_fit(model, data["x"], data["y"], sample_weight=data[weights].astype(np.float32))
    assert_trained_alike(tmp_path, model, expected)


def test_a_column_of_weights_is_no_feature(tmp_path, run, data):
    model = classifier()
    path = job(tmp_path, model, "data.csv", **training(data_labels="label", data_sampleWeights="weight"))
    run(path, "--quiet")
    assert_trained_alike(
        tmp_path, model, keras_fit(model, data["x"], data["y"], sample_weight=data["w"].astype(np.float32))
    )


def test_class_weights_train_as_keras_does_and_leave_validation_alone(tmp_path, run, data):
    model = classifier()
    run(job(tmp_path, model, **training(fit={"classWeight": {"0": 2.0, "2": 0.25}})), "--quiet")
    expected = keras_fit(model, data["x"], data["y"], class_weight={0: 2.0, 2: 0.25})
    assert_trained_alike(tmp_path, model, expected)


@pytest.mark.parametrize("form", ["one-hot labels", "one sigmoid unit", "one sigmoid unit, labels in a column"])
def test_classes_are_found_in_labels_of_every_form(tmp_path, run, data, form):
    keras.utils.set_random_seed(3)
    one_hot = form == "one-hot labels"
    units, activation = (3, "softmax") if one_hot else (1, "sigmoid")
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(units, activation=activation)])
    loss = "categorical_crossentropy" if one_hot else "binary_crossentropy"
    model.compile(keras.optimizers.SGD(0.2), loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
    y = {
        "one-hot labels": np.eye(3, dtype=np.float32)[data["y"]],
        "one sigmoid unit": (data["y"] > 0).astype(np.int64),
        "one sigmoid unit, labels in a column": (data["y"][:, None] > 0).astype(np.float32),
    }[form]
    np.savez(tmp_path / "data.npz", x=data["x"], y=y)
    weights = {0: 2.0, 1: 0.25}  # with three classes, the last one weighs 1
    run(job(tmp_path, model, **training(fit={"classWeight": {str(k): v for k, v in weights.items()}})), "--quiet")
    assert_trained_alike(tmp_path, model, keras_fit(model, data["x"], y, class_weight=weights))


@pytest.mark.parametrize("form", ["one for all", "a list", "a map"])
def test_several_outputs_have_weights_of_their_own(tmp_path, run, data, form):
    model = two_outputs()
    given, passed = {
        "one for all": ("w", data["w"].astype(np.float32)),
        "a list": (["w", "v"], [data["w"].astype(np.float32), data["v"].astype(np.float32)]),
        "a map": ({"size": "v", "kind": "w"}, [data["w"].astype(np.float32), data["v"].astype(np.float32)]),
    }[form]
    run(job(tmp_path, model, **training(data_sampleWeights=given, data_labels=["y", "r"])), "--quiet")
    expected = keras_fit(model, data["x"], [data["y"], data["r"]], sample_weight=passed)
    assert_trained_alike(tmp_path, model, expected)


@pytest.mark.parametrize("partitions,workers", [(1, 1), (7, 2)])
def test_evaluation_is_weighted_whatever_the_partitions(tmp_path, run, data, partitions, workers):
    model = classifier()
    path = job(
        tmp_path,
        model,
        task="evaluate",
        data_sampleWeights="w",
        data_partitions=partitions,
        workers_replicas=workers,
        fit={"batchSize": BATCH},
    )
    run(path, "--quiet")
    ours = json.loads((tmp_path / "out" / "metrics.json").read_text())
    expected = model.evaluate(
        data["x"], data["y"], sample_weight=data["w"].astype(np.float32), return_dict=True, verbose=0, batch_size=BATCH
    )
    assert set(ours) == set(expected)
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, rel=1e-6), name


def test_several_partitions_are_the_concatenated_batch(tmp_path, run, data):
    model = classifier()
    path = job(
        tmp_path,
        model,
        mode="synchronous",
        frequency="batch",
        data_partitions=3,
        workers_replicas=2,
        data_sampleWeights="w",
        fit={"epochs": 1, "batchSize": 30, "shuffle": False},
    )
    run(path, "--quiet")
    model.fit(data["x"], data["y"], sample_weight=data["w"].astype(np.float32), batch_size=ROWS, shuffle=False, verbose=0)
    written = keras.models.load_model(tmp_path / "out" / "model.keras")
    for weight, other in zip(written.get_weights(), model.get_weights()):
        np.testing.assert_allclose(weight, other, rtol=1e-5, atol=1e-6)


REFUSED = {
    "a negative weight": ({"data_sampleWeights": "bad"}, {"bad": -np.ones(ROWS)}, "row 0: sample weight 'bad' is negative", 1),
    "a NaN": ({"data_sampleWeights": "bad"}, {"bad": np.full(ROWS, np.nan)}, "array 'bad'", 1),
    "another length": ({"data_sampleWeights": "bad"}, {"bad": np.ones(3)}, "array 'bad' has 3 rows", 1),
    "another shape": ({"data_sampleWeights": "bad"}, {"bad": np.ones((ROWS, 4))}, "sample weights 'bad' have rows of shape (4,)", 1),
    "no such array": ({"data_sampleWeights": "nowhere"}, {}, "no array 'nowhere'", 1),
    "too many": ({"data_sampleWeights": ["w", "v"]}, {}, "spec.data.sampleWeights: the model has 1 outputs", 1),
    "no such output": ({"data_sampleWeights": {"other": "w"}}, {}, "the model has no output 'other'", 1),
    "no such class": ({"fit_classWeight": {"3": 1.0}}, {}, "spec.fit.classWeight: class 3 does not exist", 1),
    "no class index": ({"fit_classWeight": {"cat": 1.0}}, {}, "spec.fit.classWeight: 'cat' is not a class index", 2),
    "a negative class weight": ({"fit_classWeight": {"0": -1.0}}, {}, "spec.fit.classWeight.0: must be a number", 2),
    "both": ({"fit_classWeight": {"0": 1.0}, "data_sampleWeights": "w"}, {}, "cannot be used together", 2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_weights_are_refused_by_name(tmp_path, elephas, data, name):
    fields, arrays, message, status = REFUSED[name]
    np.savez(tmp_path / "data.npz", **data, **arrays)
    process = elephas("run", job(tmp_path, classifier(), **fields))
    assert process.wait(60) == status, process.output
    assert message in process.output
    assert not list(tmp_path.glob("out/*"))
