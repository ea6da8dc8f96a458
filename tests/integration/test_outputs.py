"""Where the model is written, in which format, and that training goes on from it in Python."""

import json

import h5py
import keras
import numpy as np
import pytest
from job import change_config, history, manifest

ROWS, BATCH = 64, 16

OPTIMIZERS = {
    "SGD": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True},
    "AdamW": {"weight_decay": 0.01},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Adagrad": {"learning_rate": 0.05},
    "Adadelta": {"learning_rate": 0.5},
    "Adamax": {},
    "Nadam": {},
    "Ftrl": {"learning_rate": 0.05, "l1_regularization_strength": 0.001},
    "Lion": {"learning_rate": 0.001},
    "Adam with ema": {"use_ema": True, "ema_momentum": 0.9},
    "Adam with accumulation": {"gradient_accumulation_steps": 2},
    "SGD with a schedule": {
        "momentum": 0.9,
        "learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.9),
    },
}


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(6)
    x = random.normal(size=(ROWS, 5)).astype(np.float32)
    y = x[:, :1] * 2 - x[:, 1:2] + 0.5
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return x, y


def make_model(optimizer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer, loss="mse", metrics=["mae"])
    return model


def job(folder, uri, output, **fields):
    fields = {"mode": "synchronous", "frequency": "batch", "data_partitions": 1, **fields}
    fields.setdefault("fit", {"epochs": 2, "batchSize": BATCH, "shuffle": False})
    path = manifest(folder, None, **fields)
    document = json.loads(path.read_text())
    document["spec"]["model"] = {"uri": uri}
    document["spec"]["output"] = {"uri": output}
    path.write_text(json.dumps(document))
    return path


def fit(model, x, y, epochs):
    return model.fit(x, y, epochs=epochs, batch_size=BATCH, shuffle=False, verbose=0).history


def optimizer_weights(path):
    """By their names in the file, in its order."""
    with h5py.File(path) as file:
        group = file["optimizer_weights"]
        paths = [path.decode() if isinstance(path, bytes) else path for path in group.attrs["weight_names"]]
        return {path: np.array(group[path]) for path in paths}


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_in_python_at_equal_losses(tmp_path, run, data, name, ending):
    x, y = data
    optimizer = getattr(keras.optimizers, name.split()[0])(**OPTIMIZERS[name])
    model = make_model(optimizer)
    fit(model, x, y, 1)
    model.save(tmp_path / f"model.{ending}")
    run(job(tmp_path, f"model.{ending}", f"out/trained.{ending}"), "--quiet")
    # With an average, Keras on JAX leaves one buffer to two variables and then refuses to go on.
    for variable in model.optimizer.variables:
        variable.assign(np.array(variable))
    expected = fit(model, x, y, 2)
    np.testing.assert_allclose(history(tmp_path)["loss"], expected["loss"], rtol=1e-5)
    written = keras.models.load_model(tmp_path / "out" / f"trained.{ending}")
    assert int(written.optimizer.iterations) == int(model.optimizer.iterations)
    for ours, theirs in zip(written.get_weights(), model.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    if ending == "h5":
        # Keras itself cannot train on with what it reads from .h5, its own files included: the optimizer comes
        # back without the model's variables. So the file is held against the one that Keras writes.
        model.save(tmp_path / "expected.h5")
        ours, theirs = (optimizer_weights(path) for path in (tmp_path / "out" / "trained.h5", tmp_path / "expected.h5"))
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs):
            # In order: paths hold the model's name or not, and counters, as the process made them.
            np.testing.assert_allclose(ours[our], theirs[their], rtol=1e-5, atol=1e-5, err_msg=their)
        return
    for variable in model.optimizer.variables:
        variable.assign(np.array(variable))
    np.testing.assert_allclose(fit(written, x, y, 2)["loss"], fit(model, x, y, 2)["loss"], rtol=1e-5)


@pytest.mark.parametrize(
    "output,files",
    [
        ("out", ["history.json", "model.keras", "model.safetensors"]),
        ("out/mine.h5", ["history.json", "mine.h5", "model.safetensors"]),
        ("out/mine.keras", ["history.json", "mine.keras", "model.safetensors"]),
        ("out/deep/mine.h5", ["deep/history.json", "deep/mine.h5", "deep/model.safetensors"]),
    ],
)
def test_the_output_names_a_folder_or_the_models_file(tmp_path, run, data, output, files):
    make_model("sgd").save(tmp_path / "model.keras")
    run(job(tmp_path, "model.keras", output), "--quiet")
    assert names(tmp_path / "out") == files


def test_the_best_model_has_the_format_of_the_model(tmp_path, run, data):
    make_model("sgd").save(tmp_path / "model.keras")
    fields = {"epochs": 2, "batchSize": BATCH, "modelCheckpoint": {"monitor": "loss"}}
    run(job(tmp_path, "model.keras", "out/mine.h5", fit=fields), "--quiet")
    assert names(tmp_path / "out") == ["best.h5", "history.json", "mine.h5", "model.safetensors"]
    keras.models.load_model(tmp_path / "out" / "best.h5")


@pytest.mark.parametrize("task", ["evaluate", "predict"])
def test_other_tasks_write_no_model_file(tmp_path, elephas, data, task):
    make_model("sgd").save(tmp_path / "model.keras")
    process = elephas("run", job(tmp_path, "model.keras", "out.h5", task=task))
    assert process.wait(60) == 2, process.output
    assert "spec.output.uri: names a model's file" in process.output


def test_a_learning_rate_that_was_set_counts_more_than_the_config(tmp_path, run, data):
    x, y = data
    model = make_model(keras.optimizers.SGD(0.1))
    fit(model, x, y, 1)
    model.optimizer.learning_rate = 0.02
    for ending in ("keras", "h5"):
        path = tmp_path / f"model.{ending}"
        model.save(path)
    # Keras writes the current value into the config as well; a file of another writer may not.
    stale = tmp_path / "model.keras"
    change_config(stale, lambda config: config["compile_config"]["optimizer"]["config"].update(learning_rate=0.1))
    run(job(tmp_path, "model.keras", "out"), "--quiet")
    # With an average, Keras on JAX leaves one buffer to two variables and then refuses to go on.
    for variable in model.optimizer.variables:
        variable.assign(np.array(variable))
    expected = fit(model, x, y, 2)
    np.testing.assert_allclose(history(tmp_path)["loss"], expected["loss"], rtol=1e-5)
    written = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert float(written.optimizer.learning_rate) == np.float32(0.02)
    assert written.optimizer.get_config()["learning_rate"] == pytest.approx(0.02)
