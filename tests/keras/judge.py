"""Runs the same model here and in real Keras.

A test module lists its cases; `judge(cases)` asks elephas-keras-probe about all of them in one process, Keras
about each, and returns the answers side by side. Starting JAX for a model costs far more than the model.
"""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

# Models here are tiny: what counts is the time that XLA takes to compile them.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import keras
import numpy as np
from keras.src import backend
from keras.src.initializers import random_initializers
from safetensors.numpy import load_file, save_file


class QuickDraws:
    """Random initializers without JAX, which compiles a program for every shape that it draws. What they draw is
    given to both sides; test_initializers.py, which looks at it, does not come here."""

    make_default_seed = staticmethod(lambda: 1)
    SeedGenerator = keras.random.SeedGenerator
    source = np.random.default_rng(2)

    def uniform(self, shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        return self.source.uniform(minval, maxval, shape).astype(dtype or "float32")

    def normal(self, shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        return self.source.normal(mean, stddev, shape).astype(dtype or "float32")

    def truncated_normal(self, shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        return mean + stddev * np.clip(self.normal(shape, dtype=dtype), -2.0, 2.0)


@contextlib.contextmanager
def quick_draws():
    before = random_initializers.random
    random_initializers.random = QuickDraws()
    try:
        yield
    finally:
        random_initializers.random = before


@dataclasses.dataclass
class Case:
    """One model and what to do with it.

    make() returns the Keras model. x and y are arrays or lists of arrays; y may be a function of the predictions,
    a list. `compile` takes keras.Model.compile's own arguments; `compile_json`, when given, is what the probe gets
    instead of Keras' serialization of them.
    """

    name: str
    make: object
    x: object
    y: object = None
    compile: dict = None
    compile_json: dict = None
    sample_weight: object = None
    batch_size: int = 16
    epochs: int = 0
    config: dict = None  # the model as the probe gets it; Keras' to_json() when left out
    evaluates: bool = True
    additive: bool = True  # the loss of a batch is a mean over its rows, whatever the batch
    perturb: bool = True  # no weight stays at a special value such as zero or one
    tolerance: float = 1e-5  # of predictions and trained weights, relative to the largest value


@dataclasses.dataclass
class Answers:
    case: Case
    error: str = None
    config: dict = None  # the model as the probe got it
    weight_names: list = None
    keras_weight_names: list = None
    predict: list = None
    keras_predict: list = None
    masks: dict = None  # by output number
    keras_masks: dict = None
    evaluate: dict = None
    keras_evaluate: dict = None
    history: list = None
    keras_history: dict = None
    weights: list = None
    keras_weights: list = None
    reply: dict = None


@functools.cache
def supported():
    """The names of what the program supports."""
    return json.loads(subprocess.run([probe_path(), "--supported"], capture_output=True, check=True).stdout)


def probe_path():
    folder = os.environ.get("ELEPHAS_BIN_DIR")
    source = pathlib.Path(__file__).resolve().parents[2]
    folder = pathlib.Path(folder) if folder else source / "build" / "bin"
    return folder.resolve().parent / "test-bin" / "elephas-keras-probe"


def as_list(value):
    if value is None:
        return []
    return [np.array(v, order="C") for v in (value if isinstance(value, (list, tuple)) else [value])]


def variables(model):
    """The variables of model.weights in Keras' order; seed generators' states are not weights."""
    return [v for v in model.weights if v.dtype != "uint32"]


def perturb(model, name):
    """Moves all weights away from where initializers put them: zeros and ones hide mistakes."""
    random = np.random.default_rng(len(name))
    for variable in variables(model):
        if variable.dtype == "float32":
            value = variable.numpy() + random.normal(scale=0.1, size=variable.shape)
            variable.assign(np.abs(value) if variable.path.endswith("variance") else value)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
            layer.finalize_state()  # it keeps copies


def numeric(array):
    return array if array.dtype in (np.float32, np.int64, np.int32) else array.astype(np.float32)


def ask_probe(requests, tensors):
    with tempfile.TemporaryDirectory() as folder:
        save_file({k: np.array(numeric(v), order="C") for k, v in tensors.items()}, f"{folder}/request.safetensors")
        pathlib.Path(folder, "request.json").write_text(json.dumps({"cases": requests}))
        if kept := os.environ.get("ELEPHAS_KEEP_REQUESTS"):  # for a machine with a GPU: tests/gpu/gpu_test.py
            shutil.copytree(folder, tempfile.mkdtemp(prefix="request-", dir=kept), dirs_exist_ok=True)
        done = subprocess.run([probe_path(), folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        reply = json.loads(pathlib.Path(folder, "reply.json").read_text())
        return reply, load_file(f"{folder}/reply.safetensors")


def ask_keras(case, answer, tensors):
    """Fills in Keras' side of the answer and the tensors of the probe's request; returns the request."""
    keras.utils.set_random_seed(11)
    with quick_draws():
        model = case.make()
    if case.perturb:
        perturb(model, case.name)
    x, weights = as_list(case.x), as_list(case.sample_weight)
    flat_x = x if len(x) > 1 else x[0]
    predicted = model(flat_x, training=False)
    answer.keras_predict = as_list(predicted)
    answer.keras_masks = masks_of(predicted)
    y = as_list(case.y(answer.keras_predict) if callable(case.y) else case.y)
    request = {
        "name": case.name,
        "model": case.config or json.loads(model.to_json()),
        "inputs": len(x),
        "outputs": len(y),
        "batchSize": case.batch_size,
        "sampleWeights": bool(weights),
    }
    answer.config = request["model"]
    answer.keras_weight_names = [v.path for v in variables(model)]
    initial = [v.numpy() for v in variables(model)]
    request["weights"] = len(initial)
    for kind, arrays in (("input", x), ("label", y), ("sample_weight", weights), ("weight", initial)):
        tensors.update({f"{case.name}/{kind}/{i}": a for i, a in enumerate(arrays)})
    if case.compile is None:
        return request
    request["epochs"] = epochs = case.epochs if model.trainable_weights else 0
    model.compile(**case.compile)
    request["compile"] = case.compile_json or model.get_compile_config()
    flat_y = y if len(y) > 1 else y[0]
    flat_w = None if not weights else (weights if len(weights) > 1 else weights[0])
    arguments = {"batch_size": case.batch_size, "verbose": 0, "sample_weight": flat_w}
    if case.evaluates:
        answer.keras_evaluate = model.evaluate(flat_x, flat_y, return_dict=True, **arguments)
    if epochs:
        fit = model.fit(flat_x, flat_y, shuffle=False, epochs=epochs, **arguments)
        answer.keras_history = fit.history
        answer.keras_weights = [v.numpy() for v in variables(model)]
    return request


def masks_of(outputs):
    masks = enumerate(backend.get_keras_mask(o) for o in (outputs if isinstance(outputs, (list, tuple)) else [outputs]))
    return {i: np.array(mask) for i, mask in masks if mask is not None}


def judge(cases):
    """{name: Answers} of all cases."""
    requests, tensors, answers = [], {}, {}
    for case in cases:
        answer = answers[case.name] = Answers(case)
        try:
            requests.append(ask_keras(case, answer, tensors))
        except Exception as error:  # a case that Keras refuses must not hide the others
            answer.error = f"Keras itself fails: {error}"
    reply, replied = ask_probe(requests, tensors)
    for name, own in reply.items():
        answer = answers[name]
        answer.reply = own
        answer.error = own.get("error")
        answer.weight_names = own.get("weightNames")
        answer.evaluate = own.get("evaluate")
        answer.history = own.get("history")
        answer.predict = collect(replied, f"{name}/predict/")
        answer.masks = {i: replied[key] for i in range(len(answer.predict)) if (key := f"{name}/mask/{i}") in replied}
        answer.weights = collect(replied, f"{name}/weight/")
    return answers


def collect(tensors, prefix):
    found = []
    while f"{prefix}{len(found)}" in tensors:
        found.append(tensors[f"{prefix}{len(found)}"])
    return found


def assert_close(actual, expected, tolerance, what):
    assert actual.shape == expected.shape, what
    expected = expected.astype(np.float32)
    scale = max(float(np.max(np.abs(expected))), 1e-3) if expected.size else 1.0
    worst = float(np.max(np.abs(actual - expected))) if expected.size else 0.0
    assert worst <= tolerance * scale, f"{what}: off by {worst:g} where the largest value is {scale:g}"


def assert_agrees(answer, metric_tolerance=1e-6):
    """Names, predictions, evaluation, history and trained weights are Keras' within the tolerances."""
    case = answer.case
    assert answer.error is None, answer.error
    mine = [name.rsplit("/", 1)[-1] for name in answer.weight_names]
    theirs = [name.rsplit("/", 1)[-1] for name in answer.keras_weight_names]
    assert mine == theirs
    assert len(answer.predict) == len(answer.keras_predict)
    for i, (actual, expected) in enumerate(zip(answer.predict, answer.keras_predict)):
        assert_close(actual, expected, case.tolerance, f"output {i}")
    assert set(answer.masks) == set(answer.keras_masks), "an output has a mask on one side only"
    for i, mask in answer.keras_masks.items():
        np.testing.assert_array_equal(answer.masks[i].astype(bool), mask)
    if answer.keras_evaluate is not None:
        assert_metrics(answer.evaluate, answer.keras_evaluate, metric_tolerance)
        if case.additive:
            assert_metrics(answer.reply["partitioned"], answer.keras_evaluate, metric_tolerance)
    if answer.keras_history is not None:
        last = {name: values[-1] for name, values in answer.keras_history.items()}
        assert_metrics(answer.history[-1], last, max(metric_tolerance, case.tolerance))
        for name, actual, expected in zip(answer.weight_names, answer.weights, answer.keras_weights):
            assert_close(actual, expected, case.tolerance, name)


def assert_metrics(actual, expected, tolerance):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        if np.isnan(value):
            assert actual[name] is None, name
            continue
        error = abs(actual[name] - value)
        assert error <= tolerance * max(1.0, abs(value)), f"{name}: {actual[name]} instead of {value}"
