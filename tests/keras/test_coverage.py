"""Every class that Keras offers either works here or is refused by name, before anything trains.

That the supported layers work is shown by the test_layers_*.py, which hold each of them in some row.
"""

import keras
import numpy as np
import pytest
from judge import ask_probe, supported

# Not layers that a model holds: base classes, and cells, which stand inside RNN.
NO_LAYERS = {"Layer", "Wrapper", "InputSpec", "GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"}


def classes(module, base):
    return sorted(
        name for name in dir(module) if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), base)
    )


def ask(requests):
    """The probe's errors: {name: message or None}."""
    reply, _ = ask_probe(requests, {"nothing": np.zeros(1, np.float32)})
    return {name: entry.get("error") for name, entry in reply.items()}


def refusals(models):
    return ask([{"name": name, "model": model, "inputs": 0} for name, model in models.items()])


def sequential(*entries):
    layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 4], "name": "in"}}, *entries]
    return {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}


def layer(name):
    return {"module": "keras.layers", "class_name": name, "config": {"name": "culprit"}}


def known_layers():
    names = supported()
    return {name for family in names["layers"].values() for name in family} | set(names["aliases"]) | {"InputLayer"}


def unsupported_layers():
    known = known_layers() | NO_LAYERS
    return [name for name in classes(keras.layers, keras.layers.Layer) if name not in known]


def test_unsupported_layers_are_refused_with_name_class_and_place():
    names = unsupported_layers()
    assert "Lambda" in names and "TextVectorization" in names
    for name, error in refusals({name: sequential(layer(name)) for name in names}).items():
        assert error and f"layers[1] of model 'm' 'culprit' ({name}): " in error, (name, error)
        assert "not supported" in error


def test_supported_layers_exist_in_keras():
    names = supported()
    in_keras = set(classes(keras.layers, keras.layers.Layer))
    for name in known_layers():
        if name.startswith("ops."):
            continue
        assert name in in_keras, name
    for alias, name in names["aliases"].items():
        assert getattr(keras.layers, alias) is getattr(keras.layers, name)
    known = known_layers()
    missing = {name for name in in_keras if getattr(keras.layers, name).__name__ in known} - known
    assert not missing, "Keras' other names of supported layers"


def test_unsupported_layers_inside_wrappers_and_models_are_named_with_their_place():
    wrapped = layer("TimeDistributed")
    wrapped["config"]["layer"] = {"class_name": "Lambda", "config": {"name": "inner"}}
    nested = sequential(layer("Lambda"))
    nested["config"]["name"] = "nested"
    errors = refusals({"wrapped": sequential(wrapped), "nested": sequential(nested)})
    assert "layers[1] of model 'm' 'culprit' (TimeDistributed), its 'layer' 'inner' (Lambda)" in errors["wrapped"]
    assert "layers[1] of model 'm', layers[1] of model 'nested' 'culprit' (Lambda)" in errors["nested"]


@pytest.mark.parametrize(
    "kind,base,abstract",
    [
        ("optimizers", keras.optimizers.Optimizer, {"Optimizer"}),
        ("schedules", keras.optimizers.schedules.LearningRateSchedule, {"LearningRateSchedule"}),
    ],
)
def test_optimizers_and_schedules_are_supported_or_refused_by_name(kind, base, abstract):
    module = keras.optimizers.schedules if kind == "schedules" else keras.optimizers
    known = set(supported()[kind])
    offered = set(classes(module, base))
    assert known <= offered
    requests = []
    for name in offered - known - abstract:
        entry = {"class_name": name, "config": {}}
        if kind == "schedules":
            entry = {"class_name": "SGD", "config": {"learning_rate": entry}}
        compile = {"loss": "mse", "optimizer": entry}
        requests.append({"name": name, "model": sequential(), "inputs": 0, "compile": compile})
    for name, error in ask(requests).items():
        assert error and name in error and "not supported" in error, (name, error)


def initializer_option(kind, name):
    option = {"initializers": "kernel_initializer", "regularizers": "kernel_regularizer"}.get(kind, "kernel_constraint")
    return {"units": 2, "name": "culprit", option: {"module": f"keras.{kind}", "class_name": name, "config": {}}}


@pytest.mark.parametrize(
    "kind,base",
    [
        ("initializers", keras.initializers.Initializer),
        ("regularizers", keras.regularizers.Regularizer),
        ("constraints", keras.constraints.Constraint),
    ],
)
def test_what_layers_are_given_is_supported_or_refused_by_name(kind, base):
    # Lower-case names are the same classes again.
    offered = [name for name in classes(getattr(keras, kind), base) if name != base.__name__]
    models = {
        name: sequential({"class_name": "Dense", "config": initializer_option(kind, name)}) for name in offered
    }
    known = supported()[kind]
    for name, error in refusals(models).items():
        if getattr(getattr(keras, kind), name).__name__ in known:
            assert error is None, (name, error)
        else:
            assert error and "layers[1] of model 'm' 'culprit' (Dense)" in error and f"'{name}' is not" in error


def test_every_activation_function_of_keras_is_supported():
    # threshold wants arguments, which a stored model cannot give it.
    no_functions = {"deserialize", "get", "serialize", "threshold"}
    offered = {name for name in dir(keras.activations) if not name.startswith("_")} - no_functions
    assert offered <= set(supported()["activations"])
