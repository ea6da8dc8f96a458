"""Keras in, Keras out: real Keras makes the model files and the answers, and opens what a job writes."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from job import history, manifest

ROWS, BATCH = 96, 16


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(5)
    x = random.normal(size=(ROWS, 8)).astype(np.float32)
    y = (x[:, :4].sum(axis=1) > 0).astype(np.int64)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return x, y


def make_model(optimizer, normalized=True):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(12, activation="relu")(inputs)
    if normalized:
        hidden = keras.layers.BatchNormalization()(hidden)
    outputs = keras.layers.Dense(2, activation="softmax")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def keras_job(folder, uri, **fields):
    path = manifest(folder, None, **fields)
    document = json.loads(path.read_text())
    del document["spec"]["model"]["inline"]
    document["spec"]["model"]["uri"] = uri
    path.write_text(json.dumps(document))
    return path


def fit(model, x, y, epochs):
    return model.fit(x, y, epochs=epochs, batch_size=BATCH, shuffle=False, verbose=0).history


def assert_same_weights(model, other, tolerance=1e-5):
    assert [w.path.split("/")[-1] for w in model.weights] == [w.path.split("/")[-1] for w in other.weights]
    for weight, expected in zip(other.get_weights(), model.get_weights()):
        np.testing.assert_allclose(weight, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("frequency", ["batch", "epoch", "fit"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_one_partition_trains_as_keras_fit_does_and_both_go_on_alike(tmp_path, run, data, frequency, optimizer):
    x, y = data
    model = make_model(optimizer)
    fit(model, x, y, 2)  # so that the file holds moments and a step count to resume from
    model.save(tmp_path / "model.keras")
    path = keras_job(
        tmp_path,
        "model.keras",
        mode="synchronous",
        frequency=frequency,
        fit={"epochs": 3, "batchSize": BATCH, "shuffle": False},
        data_partitions=1,
    )
    run(path, "--quiet")
    expected = fit(model, x, y, 3)
    ours = history(tmp_path)
    np.testing.assert_allclose(ours["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(ours["accuracy"], expected["accuracy"], rtol=1e-6)
    written = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert_same_weights(model, written)
    # The optimizer's state came along: another epoch in Python is the same for both.
    assert int(written.optimizer.iterations) == int(model.optimizer.iterations)
    np.testing.assert_allclose(fit(written, x, y, 1)["loss"], fit(model, x, y, 1)["loss"], rtol=1e-5)


@pytest.mark.parametrize("workers", [1, 2])
def test_synchronous_fit_is_the_weighted_mean_of_separate_keras_fits(tmp_path, run, data, workers):
    x, y = data
    model = make_model(keras.optimizers.SGD(0.1))
    model.save(tmp_path / "model.keras")
    path = keras_job(
        tmp_path,
        "model.keras",
        mode="synchronous",
        frequency="fit",
        fit={"epochs": 2, "batchSize": BATCH, "shuffle": False},
        data_partitions=5,
        workers_replicas=workers,
    )
    run(path, "--quiet")
    mean = [np.zeros_like(weight) for weight in model.get_weights()]
    sizes = [ROWS // 5 + (p < ROWS % 5) for p in range(5)]
    first = 0
    for size in sizes:
        part = keras.models.load_model(tmp_path / "model.keras")
        fit(part, x[first : first + size], y[first : first + size], 2)
        first += size
        for total, weight in zip(mean, part.get_weights()):
            total += weight * size / ROWS
    model.set_weights(mean)
    assert_same_weights(model, keras.models.load_model(tmp_path / "out" / "model.keras"))


def test_synchronous_batch_is_keras_on_the_concatenated_batch(tmp_path, run, data):
    x, y = data
    model = make_model(keras.optimizers.SGD(0.1), normalized=False)
    model.save(tmp_path / "model.keras")
    path = keras_job(
        tmp_path,
        "model.keras",
        mode="synchronous",
        frequency="batch",
        fit={"epochs": 2, "batchSize": 4, "shuffle": False},
        data_partitions=4,
        workers_replicas=2,
    )
    run(path, "--quiet")
    # Round r is batch r of each of the four partitions of 24 rows.
    order = np.concatenate(
        [np.arange(p * 24 + r * 4, p * 24 + r * 4 + 4) for r in range(6) for p in range(4)]
    )
    model.fit(x[order], y[order], epochs=2, batch_size=16, shuffle=False, verbose=0)
    assert_same_weights(model, keras.models.load_model(tmp_path / "out" / "model.keras"))


@pytest.mark.parametrize("form", ["keras", "h5", "json and weights.h5"])
def test_predict_and_evaluate_take_the_files_that_keras_writes(tmp_path, run, data, form):
    x, y = data
    model = make_model("adam")
    fit(model, x, y, 2)
    more = {}
    if form == "json and weights.h5":
        (tmp_path / "model.json").write_text(model.to_json())
        model.save_weights(tmp_path / "start.weights.h5")
        uri = "model.json"
        more = {
            "model_weights": {"uri": "start.weights.h5"},
            "compile": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        }
    else:
        uri = f"model.{form}"
        model.save(tmp_path / uri)

    def prepare(task):
        return keras_job(tmp_path, uri, task=task, data_partitions=3, workers_replicas=2, **more)

    run(prepare("predict"), "--quiet")
    np.testing.assert_allclose(
        np.load(tmp_path / "out" / "predictions.npy"), model.predict(x, verbose=0), rtol=1e-5, atol=1e-7
    )
    run(prepare("evaluate"), "--quiet")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    assert metrics["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert metrics["accuracy"] == pytest.approx(expected["accuracy"], rel=1e-6)


@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_a_second_job_goes_on_where_the_first_one_stopped(tmp_path, run, data, frequency):
    x, y = data
    model = make_model(keras.optimizers.Adam(0.01))
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "start.weights.h5")

    def job(name, uri, epochs, **more):
        fields = {"mode": "synchronous", "frequency": frequency, "data_partitions": 1, **more}
        fields["fit"] = {"epochs": epochs, "batchSize": BATCH, "shuffle": False}
        run(keras_job(tmp_path, uri, output={"uri": name}, **fields), "--quiet")
        written = keras.models.load_model(tmp_path / name / "model.keras")
        return json.loads((tmp_path / name / "history.json").read_text()), written

    start = {
        "model_weights": {"uri": "start.weights.h5"},
        "compile": {
            "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.01}},
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
        },
    }
    whole, at_once = job("whole", "model.json", 4, **start)
    first, _ = job("first", "model.json", 2, **start)
    second, in_two = job("second", "first/model.keras", 2)  # what to compile it with is in the file
    # The file keeps float32 as it is, moments and steps too: not a bit is different.
    for name in ("loss", "accuracy"):
        assert first[name] + second[name] == whole[name]
    for a, b in zip([*in_two.weights, *in_two.optimizer.variables], [*at_once.weights, *at_once.optimizer.variables]):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    assert int(in_two.optimizer.iterations) == 4 * ROWS // BATCH
    expected = fit(model, x, y, 4)
    np.testing.assert_allclose(first["loss"] + second["loss"], expected["loss"], rtol=1e-5)
    assert_same_weights(model, in_two)
    for ours, theirs in zip(in_two.optimizer.variables, model.optimizer.variables):
        theirs = np.array(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max(), err_msg=ours.path)


def test_another_backend_opens_what_a_job_trained(tmp_path, run, data):
    x, _ = data
    make_model("adam").save(tmp_path / "model.keras")
    run(keras_job(tmp_path, "model.keras", fit={"epochs": 2, "batchSize": BATCH}), "--quiet")
    code = """
import keras, numpy as np
assert keras.backend.backend() == "numpy"
model = keras.models.load_model("out/model.keras")
assert model.compiled and int(model.optimizer.iterations) > 0
np.save("numpy.npy", model.predict(np.load("data.npz")["x"], verbose=0))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    written = keras.models.load_model(tmp_path / "out" / "model.keras")
    np.testing.assert_allclose(np.load(tmp_path / "numpy.npy"), written.predict(x, verbose=0), rtol=1e-5)


def constrained_model():
    """A layer for each constraint; none of them is met by the weights to start from."""
    keras.utils.set_random_seed(3)
    layers, constraints = keras.layers, keras.constraints
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(6, activation="tanh", kernel_constraint=constraints.NonNeg(), name="non_negative"),
            layers.Dense(6, activation="tanh", kernel_constraint=constraints.MaxNorm(0.7), name="at_most"),
            layers.Dense(5, activation="tanh", kernel_constraint=constraints.UnitNorm(), name="of_one"),
            layers.Dense(2, activation="softmax", kernel_constraint=constraints.MinMaxNorm(0.3, 0.6), name="between"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.3), loss="sparse_categorical_crossentropy")
    return model


def broken_constraints(model):
    """The layers whose constraint is not met, beyond what rounding does."""
    norms = {layer.name: np.linalg.norm(layer.get_weights()[0], axis=0) for layer in model.layers}
    met = {
        "non_negative": model.get_layer("non_negative").get_weights()[0].min() >= 0,
        "at_most": norms["at_most"].max() <= 0.7 + 1e-6,
        "of_one": np.abs(norms["of_one"] - 1).max() <= 1e-6,
        "between": 0.3 - 1e-6 <= norms["between"].min() and norms["between"].max() <= 0.6 + 1e-6,
    }
    return {name for name, holds in met.items() if not holds}


CONSTRAINED = [("asynchronous", "batch"), ("asynchronous", "epoch"), ("synchronous", "epoch"), ("synchronous", "fit")]


@pytest.mark.parametrize("mode,frequency", CONSTRAINED)
def test_constraints_hold_after_every_step_of_a_worker(tmp_path, run, data, mode, frequency):
    model = constrained_model()
    assert broken_constraints(model) == {"non_negative", "at_most", "of_one", "between"}
    model.save(tmp_path / "model.keras")
    fields = {"mode": mode, "frequency": frequency, "fit": {"epochs": 3, "batchSize": BATCH, "shuffle": False}}
    run(keras_job(tmp_path, "model.keras", data_partitions=1, **fields), "--quiet")
    fit(model, *data, 3)
    written = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert_same_weights(model, written)
    assert not broken_constraints(written)

    # One worker after another partition breaks none. The mean of several partitions' weights is still non-negative
    # and still short enough; it may be shorter than what it is a mean of, so the others need not hold.
    run(keras_job(tmp_path, "model.keras", data_partitions=5, **fields), "--quiet")
    broken = broken_constraints(keras.models.load_model(tmp_path / "out" / "model.keras"))
    assert broken <= ({"of_one", "between"} if mode == "synchronous" else set())
