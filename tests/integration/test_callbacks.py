"""Early stopping, lower learning rates and the best model, as keras.callbacks has them."""

import json

import keras
import numpy as np
import pytest
from job import counting_job, counts, history, manifest
from safetensors.numpy import load_file
from test_kills import kill_while_running

ROWS, BATCH = 96, 16


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(8)
    x = random.normal(size=(ROWS, 6)).astype(np.float32)
    # Labels that nobody can learn: validation gets worse while training gets better.
    y = random.integers(0, 2, size=ROWS)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return x, y


def make_model(optimizer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(2, activation="softmax")]
    )
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


FIT = {
    "epochs": 25,
    "batchSize": BATCH,
    "shuffle": False,
    "validationSplit": 0.25,
    "earlyStopping": {"patience": 6, "restoreBestWeights": True},
    "reduceLROnPlateau": {"patience": 2, "factor": 0.5, "cooldown": 1},
    "modelCheckpoint": {"monitor": "val_accuracy", "mode": "max"},
}


def job(folder, fit=None, **fields):
    fields.setdefault("mode", "synchronous")
    path = manifest(folder, None, fit={**FIT, **(fit or {})}, **fields)
    document = json.loads(path.read_text())
    document["spec"]["model"] = {"uri": "model.keras"}
    path.write_text(json.dumps(document))
    return path


def keras_fit(model, x, y, folder):
    callbacks = [
        keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.5, cooldown=1),
        keras.callbacks.ModelCheckpoint(
            str(folder / "keras-best.keras"), monitor="val_accuracy", mode="max", save_best_only=True
        ),
    ]
    fit = model.fit(
        x, y, epochs=25, batch_size=BATCH, shuffle=False, validation_split=0.25, verbose=0, callbacks=callbacks
    )
    return fit.history


def assert_same_model(ours, theirs):
    for weight, expected in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-5)
    assert float(ours.optimizer.learning_rate) == float(theirs.optimizer.learning_rate)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations)


@pytest.mark.parametrize("frequency", ["batch", "epoch"])
@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD(0.8, momentum=0.5), keras.optimizers.Adam(0.05)])
def test_one_partition_is_keras_fit_with_the_same_callbacks(tmp_path, run, data, optimizer, frequency):
    x, y = data
    model = make_model(type(optimizer).from_config(optimizer.get_config()))
    model.save(tmp_path / "model.keras")
    run(job(tmp_path, frequency=frequency, data_partitions=1), "--quiet")
    expected = keras_fit(model, x, y, tmp_path)
    assert len(expected["loss"]) < 25 and expected["learning_rate"][-1] < expected["learning_rate"][0]
    ours = history(tmp_path)
    assert ours["learning_rate"] == expected["learning_rate"]
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, err_msg=name)
    written = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert_same_model(written, model)
    best = keras.models.load_model(tmp_path / "out" / "best.keras")
    assert_same_model(best, keras.models.load_model(tmp_path / "keras-best.keras"))
    # The state came along: training goes on alike.
    again = [m.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0).history["loss"] for m in (written, model)]
    np.testing.assert_allclose(*again, rtol=1e-5)


@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_workers_servers_and_kills_do_not_change_a_bit(tmp_path, run, elephas, data, frequency):
    results = {}
    for name, workers, servers, kills in [("plain", 1, 1, False), ("more", 3, 2, False), ("kills", 2, 2, True)]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "data.npz").symlink_to(tmp_path / "data.npz")
        keras.utils.clear_session()  # or the layers' names would count on
        make_model(keras.optimizers.SGD(0.8, momentum=0.5)).save(folder / "model.keras")
        path = job(
            folder,
            frequency=frequency,
            data_partitions=3,
            workers_replicas=workers,
            parameterServers_replicas=servers,
            checkpoint={"uri": "ckpt"},
            runPolicy={"backoffLimit": 40},
        )
        if kills:
            process = elephas("run", path, "--json")
            killed = kill_while_running(process, ["elephas-paramserver", "elephas-worker"], kills=4, seed=frequency)
            assert process.wait(120) == 0, process.output
            assert killed
        else:
            run(path, "--quiet")
        lists = history(folder)
        lists.pop("seconds")
        best = keras.models.load_model(folder / "out" / "best.keras")
        results[name] = (load_file(folder / "out" / "model.safetensors"), best.get_weights(), lists)
    weights, best, lists = results["plain"]
    assert len(lists["loss"]) < 25
    for name in ("more", "kills"):
        other_weights, other_best, other_lists = results[name]
        assert other_lists == lists, name
        assert all(np.array_equal(other_weights[key], weights[key]) for key in weights), name
        assert all(np.array_equal(a, b) for a, b in zip(other_best, best)), name


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_asynchronous_epochs_end_before_the_next_begins(tmp_path, run, mode, frequency):
    # The loss of a counting job falls all the time, so with mode max it never improves after the first epoch.
    path = counting_job(
        tmp_path,
        40,
        mode=mode,
        frequency=frequency,
        fit={
            "epochs": 9,
            "batchSize": 4,
            "earlyStopping": {"monitor": "loss", "mode": "max", "patience": 3},
            "reduceLROnPlateau": {"monitor": "loss", "mode": "max", "patience": 2, "factor": 0.5},
            "modelCheckpoint": {"monitor": "loss", "mode": "max"},
        },
        data_partitions=5,
        workers_replicas=3,
    )
    run(path, "--quiet")
    lists = history(tmp_path)
    assert len(lists["loss"]) == 4  # the first, and three without an improvement
    assert lists["learning_rate"] == [1.0, 1.0, 1.0, 0.5]
    # Every example once per epoch, with the learning rate that the epoch had.
    assert np.array_equal(counts(tmp_path), np.full(40, 3.5))
    best = keras.models.load_model(tmp_path / "out" / "best.keras", compile=False)
    assert np.array_equal(best.get_weights()[0][:, 0], np.full(40, -1.0))


@pytest.mark.parametrize(
    "fit,message,status",
    [
        ({"earlyStopping": {"monitor": "val_acc"}}, "there is no 'val_acc'; this job has loss, accuracy, val_loss", 1),
        ({"modelCheckpoint": {"monitor": "nothing"}}, "spec.fit.modelCheckpoint.monitor: there is no 'nothing'", 1),
        ({"validationSplit": 0.0}, "spec.fit.earlyStopping.monitor: 'val_loss' needs validation", 2),
        ({"reduceLROnPlateau": {"factor": 1.0}}, "spec.fit.reduceLROnPlateau.factor", 2),
        ({"earlyStopping": {"patience": -1}}, "spec.fit.earlyStopping.patience: must be at least 0", 2),
        ({"earlyStopping": {"restore_best_weights": True}}, "did you mean 'restoreBestWeights'", 2),
    ],
)
def test_what_cannot_be_watched_is_refused_before_anything_trains(tmp_path, elephas, data, fit, message, status):
    make_model("sgd").save(tmp_path / "model.keras")
    process = elephas("run", job(tmp_path, fit=fit, data_partitions=1))
    assert process.wait(60) == status, process.output
    assert message in process.output
    assert not list(tmp_path.glob("out/*"))


def test_a_schedule_cannot_be_reduced(tmp_path, elephas, data):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    make_model(keras.optimizers.SGD(schedule)).save(tmp_path / "model.keras")
    process = elephas("run", job(tmp_path, data_partitions=1))
    assert process.wait(60) == 1, process.output
    assert "spec.fit.reduceLROnPlateau: the optimizer's learning rate follows a schedule" in process.output
    assert not list(tmp_path.glob("out/*"))


def test_callbacks_need_an_epochs_end(tmp_path, elephas, data):
    make_model("sgd").save(tmp_path / "model.keras")
    process = elephas("run", job(tmp_path, frequency="fit", data_partitions=1))
    assert process.wait(60) == 2, process.output
    assert "spec.fit.earlyStopping: looks at the model after each epoch" in process.output
