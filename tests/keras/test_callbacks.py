"""The training callbacks decide what real Keras' decide, fed with the same sequences of logs."""

import json
import os
import pathlib
import subprocess
import types

import keras
import numpy as np
import pytest

BASE = 0.05  # learning rate


def probe_path():
    folder = os.environ.get("ELEPHAS_BIN_DIR")
    source = pathlib.Path(__file__).resolve().parents[2]
    folder = pathlib.Path(folder) if folder else source / "build" / "bin"
    return folder.resolve().parent / "test-bin" / "elephas-callback-probe"


def sequence(random, kind):
    """Values of one metric, epoch by epoch."""
    count = int(random.integers(1, 40))
    if kind == "noise":
        values = random.normal(size=count)
    elif kind == "falling":
        values = 1.0 / np.arange(1, count + 1) + random.normal(scale=0.05, size=count)
    elif kind == "plateau":  # falls, then stays with differences around float32's precision
        values = np.maximum(1.0 - 0.1 * np.arange(count), 0.3) + random.normal(scale=3e-8, size=count)
    elif kind == "steps":  # many equal values
        values = np.round(random.normal(size=count), 0)
    else:
        values = random.normal(size=count)
        values[random.random(count) < 0.3] = np.nan
    return [float(value) for value in values]


def make_cases():
    random = np.random.default_rng(17)
    kinds = ["noise", "falling", "plateau", "steps", "nan"]
    cases = []
    for i in range(300):
        metric = ["loss", "val_loss", "accuracy", "val_accuracy"][random.integers(4)]
        mode = ["auto", "min", "max"][random.integers(3)]
        early = {
            "monitor": metric,
            "mode": mode,
            "patience": int(random.integers(0, 6)),
            "minDelta": [0.0, 0.0, 0.1, -0.2, 1e-8][random.integers(5)],
            "restoreBestWeights": bool(random.integers(2)),
            "startFromEpoch": int(random.choice([0, 0, 3])),
        }
        if random.integers(3) == 0:
            early["baseline"] = float(random.normal(scale=0.5))
        reduce = {
            "monitor": metric,
            "mode": mode,
            "patience": int(random.integers(0, 5)),
            "factor": float(random.choice([0.1, 0.5, 0.3])),
            "minDelta": float(random.choice([0.0, 1e-4, 0.1])),
            "cooldown": int(random.integers(0, 4)),
            "minLR": float(random.choice([0.0, 0.001, 0.02])),
        }
        checkpoint = {"monitor": metric, "mode": mode}
        fit = {"epochs": 100, "validationSplit": 0.5, "modelCheckpoint": checkpoint}
        if i % 3 != 1:
            fit["earlyStopping"] = early
        if i % 3 != 2:
            fit["reduceLROnPlateau"] = reduce
        logs = [{metric: value} for value in sequence(random, kinds[i % len(kinds)])]
        cases.append({"fit": fit, "logs": logs})
    return cases


class Accuracy(keras.metrics.Mean):
    """Only there for its direction."""

    def __init__(self):
        super().__init__(name="accuracy")
        self._direction = "up"


class FakeModel:
    """What callbacks touch of a model; its weights are the number of the epoch."""

    def __init__(self):
        self.optimizer = keras.optimizers.SGD(BASE)
        metrics = keras.src.trainers.compile_utils.MetricsList([Accuracy()])
        self.metrics = [metrics]
        self.stop_training = False
        self.weights = None
        self.saved = None

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights

    def save(self, path, overwrite):
        self.saved = self.weights


def words(fields):
    names = {
        "minDelta": "min_delta",
        "restoreBestWeights": "restore_best_weights",
        "startFromEpoch": "start_from_epoch",
        "minLR": "min_lr",
    }
    return {names.get(name, name): value for name, value in fields.items()}


def ask_keras(case, folder):
    model = FakeModel()
    fit = case["fit"]
    callbacks = {}
    if "earlyStopping" in fit:
        callbacks["early"] = keras.callbacks.EarlyStopping(**words(fit["earlyStopping"]))
    if "reduceLROnPlateau" in fit:
        callbacks["reduce"] = keras.callbacks.ReduceLROnPlateau(**words(fit["reduceLROnPlateau"]))
    callbacks["checkpoint"] = keras.callbacks.ModelCheckpoint(
        str(folder / "best.keras"), save_best_only=True, **words(fit["modelCheckpoint"])
    )
    for callback in callbacks.values():
        callback.set_model(model)
        callback.on_train_begin()
    rates, epochs = [], 0
    for epoch, values in enumerate(case["logs"]):
        model.weights = epoch + 1
        logs = dict(values)
        for callback in callbacks.values():
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, logs)
        if "reduce" in callbacks:
            rates.append(logs["learning_rate"])
        epochs += 1
        if model.stop_training:
            break
    trained = model.weights
    for callback in callbacks.values():
        callback.on_train_end()
    restored = "early" in callbacks and callbacks["early"].best_weights is not None
    return types.SimpleNamespace(
        epochs=epochs,
        rates=rates,
        rate=float(model.optimizer.learning_rate.numpy()),
        ends_with=model.weights if restored else trained,
        best=model.saved,
    )


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    cases = make_cases()
    request = [
        {
            "fit": case["fit"],
            "logs": [{k: "NaN" if np.isnan(v) else v for k, v in logs.items()} for logs in case["logs"]],
            "directions": {"accuracy": True, "loss": False},
            "learningRate": BASE,
        }
        for case in cases
    ]
    done = subprocess.run([probe_path()], input=json.dumps(request), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    folder = tmp_path_factory.mktemp("callbacks")
    return [(case, ask_keras(case, folder), reply) for case, reply in zip(cases, json.loads(done.stdout))]


def test_callbacks_decide_as_keras_does(answers):
    stopped = reduced = restored = 0
    for case, keras_answer, reply in answers:
        where = json.dumps(case)
        assert "error" not in reply, where
        decided = reply["decisions"]
        assert reply["epochs"] == keras_answer.epochs, where
        assert reply["learningRates"] == keras_answer.rates, where
        assert decided.get("learningRate", float(np.float32(BASE))) == keras_answer.rate, where
        assert decided.get("restore", reply["epochs"]) == keras_answer.ends_with, where
        assert decided.get("best") == keras_answer.best, where
        stopped += keras_answer.epochs < len(case["logs"])
        reduced += keras_answer.rate != float(np.float32(BASE))
        restored += "restore" in decided
    # The sequences make each of them act.
    assert min(stopped, reduced, restored) > 30
