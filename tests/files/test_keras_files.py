"""Real Keras writes files that we read number by number, and opens what we write."""

import json
import os
import struct
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras_models import MODELS, describe, optimizer_config, parallel_branches, randomize, text, weights_by_layer, weights_of
from safetensors import safe_open
from safetensors.numpy import save_file

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(),
    "amsgrad": lambda: keras.optimizers.Adam(amsgrad=True, clipnorm=1.0),
    "adamw": lambda: keras.optimizers.AdamW(weight_decay=0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(momentum=0.5, centered=True),
    "adagrad": lambda: keras.optimizers.Adagrad(),
    "adadelta": lambda: keras.optimizers.Adadelta(),
    "adamax": lambda: keras.optimizers.Adamax(),
    "nadam": lambda: keras.optimizers.Nadam(),
    "ftrl": lambda: keras.optimizers.Ftrl(),
    "lion": lambda: keras.optimizers.Lion(),
    "schedule": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 100), momentum=0.9),
    "average": lambda: keras.optimizers.Adam(use_ema=True),
}


def load(path):
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def same(actual, expected):
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name].reshape(value.shape), value, err_msg=name)


def slots_by_path(model, names):
    """Slot name -> path of the weight -> value, from Keras' own lists of variables."""
    found = {name: {} for name in names}
    for variable in model.optimizer.variables:
        for weight in model.trainable_variables:
            for name in names:
                if variable.name == weight.path.replace("/", "_") + "_" + name:
                    found[name][weight.path] = np.asarray(variable)
    return found


def arena(model, values):
    """The values in the arena's order, which is that of the layout."""
    return np.concatenate([values[v.path].ravel() for v in model.weights if v.trainable])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_what_keras_writes_is_read(keras_probe, tmp_path, build, suffix):
    model = build()
    randomize(model.weights)
    model.save(tmp_path / f"model{suffix}")
    (tmp_path / "model.json").write_text(json.dumps(describe(model)))
    keras_probe("read", tmp_path / f"model{suffix}", tmp_path / "model.json", tmp_path / "out")
    values, metadata = load(tmp_path / "out")
    same(values, weights_of(model))
    assert len(values) == len(weights_of(model))
    config = json.loads(metadata["config"])
    assert config["config"]["name"] == model.name
    assert metadata["compile"] == "null"


@pytest.mark.parametrize("kind", ["weights.h5", "legacy"])
@pytest.mark.parametrize("build", MODELS[:9], ids=lambda build: build.__name__)
def test_weights_alone_are_read(keras_probe, tmp_path, build, kind):
    model = build()
    randomize(model.weights)
    path = tmp_path / "start.weights.h5"
    if kind == "legacy":
        path = tmp_path / "start.h5"
        with h5py.File(path, "w") as file:
            keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(file, model)
    else:
        model.save_weights(path)
    (tmp_path / "model.json").write_text(json.dumps(describe(model)))
    keras_probe("weights", path, tmp_path / "model.json", tmp_path / "out")
    same(load(tmp_path / "out")[0], weights_of(model))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_keras_opens_what_we_write(keras_probe, tmp_path, build, suffix):
    model = build()
    randomize(model.weights)
    save_file(weights_of(model) or {"none": np.zeros(1)}, tmp_path / "in")
    (tmp_path / "model.json").write_text(json.dumps(describe(model)))
    keras_probe("write", tmp_path / f"model{suffix}", tmp_path / "model.json", tmp_path / "in")
    opened = keras.models.load_model(tmp_path / f"model{suffix}")
    assert [layer.name for layer in opened.layers] == [layer.name for layer in model.layers]
    assert not opened.compiled
    same(weights_by_layer(opened), weights_by_layer(model))
    inputs = [np.random.default_rng(3).integers(0, 9, (2, *i.shape[1:])).astype(i.dtype) for i in model.inputs]
    if build.__name__ == "normalization":
        model.layers[0].finalize_state()
    for ours, theirs in zip(opened(inputs) if len(model.outputs) > 1 else [opened(inputs)],
                            model(inputs) if len(model.outputs) > 1 else [model(inputs)]):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_state_goes_both_ways(keras_probe, tmp_path, name, suffix):
    model = parallel_branches()
    model.compile(OPTIMIZERS[name](), loss=["mse", None], metrics=[["mae"], []])
    model.optimizer.build(model.trainable_variables)
    randomize(model.weights)
    randomize(model.optimizer.variables[2:], seed=2)
    model.optimizer.variables[0].assign(41)
    model.save(tmp_path / f"in{suffix}")

    description = describe(model, optimizer=optimizer_config(model.optimizer), iterations=41)
    (tmp_path / "model.json").write_text(json.dumps(description))
    keras_probe("read", tmp_path / f"in{suffix}", tmp_path / "model.json", tmp_path / "out")
    values, metadata = load(tmp_path / "out")
    same(values, weights_of(model))
    assert metadata["iterations"] == "41"
    slots = slots_by_path(model, [key.removeprefix("slot/") for key in values if key.startswith("slot/")])
    for slot, by_path in slots.items():
        np.testing.assert_array_equal(values["slot/" + slot], arena(model, by_path), err_msg=slot)
    assert sum(len(by_path) for by_path in slots.values()) >= len(model.optimizer.variables) - 3

    description["compile"] = json.loads(metadata["compile"])
    assert description["compile"]["loss"] == ["mse", None]
    (tmp_path / "model.json").write_text(json.dumps(description))
    keras_probe("write", tmp_path / f"out{suffix}", tmp_path / "model.json", tmp_path / "out")
    opened = keras.models.load_model(tmp_path / f"out{suffix}")
    assert opened.compiled
    assert opened.optimizer.get_config() == model.optimizer.get_config()
    assert suffix == ".h5" or opened.loss == model.loss  # legacy files get the long name
    if suffix == ".h5":
        # Keras 3 writes the optimizer's state into legacy files and does not read it back.
        same(optimizer_weights(tmp_path / "out.h5"), optimizer_weights(tmp_path / "in.h5"))
        return
    assert len(opened.optimizer.variables) == len(model.optimizer.variables)
    for ours, theirs in zip(opened.optimizer.variables, model.optimizer.variables):
        if not is_product(theirs.path):
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=theirs.path)


def is_product(path):
    """Nadam's product of momenta has no name of its own; it follows from the iterations."""
    return path.startswith("variable")


def optimizer_weights(path):
    with h5py.File(path) as file:
        group = file["optimizer_weights"]
        names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
        return {name.split("/")[-1]: group[name][()] for name in names if not is_product(name) and "scalar" not in name}


def test_training_goes_on_where_it_stopped(keras_probe, tmp_path):
    random = np.random.default_rng(5)
    x, y = random.normal(size=(32, 8)), random.integers(0, 3, 32)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "in.keras")
    description = describe(model, optimizer=optimizer_config(model.optimizer), iterations=2)
    (tmp_path / "model.json").write_text(json.dumps(description))
    keras_probe("read", tmp_path / "in.keras", tmp_path / "model.json", tmp_path / "state")
    description["compile"] = json.loads(load(tmp_path / "state")[1]["compile"])
    (tmp_path / "model.json").write_text(json.dumps(description))
    keras_probe("write", tmp_path / "out.keras", tmp_path / "model.json", tmp_path / "state")
    opened = keras.models.load_model(tmp_path / "out.keras")
    losses = [m.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"] for m in (model, opened)]
    assert losses[0] == losses[1]
    same(weights_by_layer(opened), weights_by_layer(model))


@pytest.mark.parametrize(
    "compile_words",
    [
        {"loss": "mse"},
        {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]},
        {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.5}}, "loss": "mse"},
        {
            "optimizer": {
                "class_name": "Adam",
                "config": {"learning_rate": {"class_name": "ExponentialDecay",
                                             "config": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}}},
            },
            "loss": {"class_name": "Huber", "config": {"delta": 2.0}},
            "metrics": [{"class_name": "RootMeanSquaredError", "config": {}}, "mae"],
            "weighted_metrics": ["mse"],
        },
    ],
    ids=["loss", "names", "object", "everything"],
)
def test_the_manifests_compile_words_are_understood_by_keras(keras_probe, tmp_path, compile_words):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    save_file(weights_of(model), tmp_path / "in")
    (tmp_path / "model.json").write_text(json.dumps(describe(model, compile=compile_words)))
    keras_probe("write", tmp_path / "out.keras", tmp_path / "model.json", tmp_path / "in")
    opened = keras.models.load_model(tmp_path / "out.keras")
    assert opened.compiled
    assert np.isfinite(opened.evaluate(np.ones((4, 4)), np.ones((4, 2)), verbose=0)).all()


def test_layers_in_any_order_of_the_config(keras_probe, tmp_path):
    """A hand-written config may list layers in another order than Keras derives from the graph."""
    model = parallel_branches()
    randomize(model.weights)
    description = describe(model)
    order = np.random.default_rng(7).permutation(len(model.layers))
    layers = description["config"]["config"]["layers"]
    description["config"]["config"]["layers"] = [layers[i] for i in order]
    description["tree"]["children"] = [description["tree"]["children"][i] for i in order]
    (tmp_path / "model.json").write_text(json.dumps(description))
    save_file(weights_of(model), tmp_path / "in")
    for suffix in (".keras", ".h5"):
        keras_probe("write", tmp_path / f"out{suffix}", tmp_path / "model.json", tmp_path / "in")
        same(weights_by_layer(keras.models.load_model(tmp_path / f"out{suffix}")), weights_by_layer(model))


def test_a_config_of_keras_2(keras_probe, tmp_path):
    """Old inbound nodes, no modules; the file that comes of it opens in Keras 3."""
    config = {
        "class_name": "Model",
        "config": {
            "name": "old",
            "layers": [
                {"class_name": "InputLayer", "name": "in", "inbound_nodes": [],
                 "config": {"batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "name": "in"}},
                {"class_name": "Dense", "name": "a", "inbound_nodes": [[["in", 0, 0, {}]]],
                 "config": {"name": "a", "units": 4, "activation": "relu"}},
                {"class_name": "Dense", "name": "b", "inbound_nodes": [[["in", 0, 0, {}]]],
                 "config": {"name": "b", "units": 4, "activation": "linear"}},
                {"class_name": "Add", "name": "sum", "inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]],
                 "config": {"name": "sum"}},
            ],
            "input_layers": [["in", 0, 0]],
            "output_layers": [["sum", 0, 0]],
        },
    }
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(4, name="b")])
    randomize(model.weights)
    description = describe(model, config=config)
    (tmp_path / "model.json").write_text(json.dumps(description))
    save_file(weights_of(model), tmp_path / "in")
    for suffix in (".keras", ".h5"):
        keras_probe("write", tmp_path / f"out{suffix}", tmp_path / "model.json", tmp_path / "in")
        same(weights_by_layer(keras.models.load_model(tmp_path / f"out{suffix}")), weights_by_layer(model))


def test_the_same_model_gives_the_same_bytes(keras_probe, tmp_path):
    model = text()
    save_file(weights_of(model), tmp_path / "in")
    (tmp_path / "model.json").write_text(json.dumps(describe(model)))
    for name in ("a", "b"):
        keras_probe("write", tmp_path / f"{name}.keras", tmp_path / "model.json", tmp_path / "in")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_bfloat16_and_float16_weights_become_float32(keras_probe, tmp_path):
    for dtype in ("bfloat16", "float16", "float64"):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=dtype, name=f"dense_{dtype}")])
        randomize(model.weights)
        model.save(tmp_path / "m.keras")
        (tmp_path / "model.json").write_text(json.dumps(describe(model)))
        keras_probe("read", tmp_path / "m.keras", tmp_path / "model.json", tmp_path / "out")
        same(load(tmp_path / "out")[0], weights_of(model))


def test_a_whole_model_of_keras_2(keras_probe, tmp_path):
    """The layout that tf.keras 2 wrote: names with :0, bytes for texts, an optimizer that Keras 3 does not know."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="a"), keras.layers.BatchNormalization(name="n"),
                              keras.layers.Dense(2, name="b")], name="old")
    randomize(model.weights)
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["keras_version"] = b"2.4.0"
        file.attrs["backend"] = b"tensorflow"
        layers = [{"class_name": "Dense", "config": {"name": "a", "units": 4, "batch_input_shape": [None, 4]}},
                  {"class_name": "BatchNormalization", "config": {"name": "n", "axis": [1]}},
                  {"class_name": "Dense", "config": {"name": "b", "units": 2}}]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"name": "old", "layers": layers}}).encode()
        file.attrs["training_config"] = json.dumps(
            {"loss": "mse", "metrics": [[{"class_name": "MeanMetricWrapper", "config": {"name": "mae", "fn": "mean_absolute_error"}}]],
             "weighted_metrics": None, "loss_weights": None,
             "optimizer_config": {"class_name": "Adam", "config": {"learning_rate": 0.25}}}).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"a", b"n", b"b"]
        for layer in model.layers:
            inner = group.create_group(layer.name)
            weights = layer.trainable_weights + layer.non_trainable_weights
            inner.attrs["weight_names"] = [f"{layer.name}/{w.name}:0".encode() for w in weights]
            for weight in weights:
                inner[f"{layer.name}/{weight.name}:0"] = np.asarray(weight)
        state = file.create_group("optimizer_weights")
        state.attrs["weight_names"] = [b"Adam/iter:0"]
        state["Adam/iter:0"] = np.int64(3)
    (tmp_path / "model.json").write_text(json.dumps(describe(model)))
    keras_probe("read", tmp_path / "old.h5", tmp_path / "model.json", tmp_path / "out")
    values, metadata = load(tmp_path / "out")
    same(values, weights_of(model))
    assert json.loads(metadata["compile"]) == {
        "loss": "mse", "metrics": ["mean_absolute_error"], "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.25}}}
    description = describe(model, optimizer={"class_name": "Adam", "config": {}})
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(keras_probe.Refused, match="not_found: the optimizer state is one of Keras 2"):
        keras_probe("read", tmp_path / "old.h5", tmp_path / "model.json", tmp_path / "out")


def test_what_other_versions_of_keras_3_wrote(keras_probe, tmp_path):
    """Private attribute names, seed generators with a state of their own, no names on the groups."""
    model = text()
    randomize(model.weights)
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        attention = file["layers/multi_head_attention"]
        attention.move("query_dense", "_query_dense")
        attention.create_dataset("_dropout_layer/seed_generator/vars/0", data=np.array([1, 2], np.uint32))
        file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    (tmp_path / "model.json").write_text(json.dumps(describe(model)))
    keras_probe("weights", tmp_path / "m.weights.h5", tmp_path / "model.json", tmp_path / "out")
    same(load(tmp_path / "out")[0], weights_of(model))


def test_more_layers_than_one_attribute_holds(keras_probe, tmp_path):
    """Lists of names longer than an HDF5 header are cut into parts, by Keras and by us."""
    long = "x" * 200
    model = keras.Sequential([keras.Input((1,))] + [keras.layers.Dense(1, name=f"{long}_{i}") for i in range(400)])
    randomize(model.weights)
    model.save(tmp_path / "in.h5")
    (tmp_path / "model.json").write_text(json.dumps(describe(model)))
    keras_probe("read", tmp_path / "in.h5", tmp_path / "model.json", tmp_path / "state")
    values, _ = load(tmp_path / "state")
    same(values, weights_of(model))
    keras_probe("write", tmp_path / "out.h5", tmp_path / "model.json", tmp_path / "state")
    with h5py.File(tmp_path / "out.h5") as file:
        assert "layer_names1" in file["model_weights"].attrs
    keras_probe("read", tmp_path / "out.h5", tmp_path / "model.json", tmp_path / "again")
    same(load(tmp_path / "again")[0], weights_of(model))


def test_an_optimizer_that_does_not_fit(keras_probe, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "m.keras")
    description = describe(model, optimizer={"class_name": "SGD", "config": {}})
    (tmp_path / "model.json").write_text(json.dumps(description))
    message = "the file holds 6 optimizer variables, the model's optimizer has 2"
    with pytest.raises(keras_probe.Refused, match=message):
        keras_probe("read", tmp_path / "m.keras", tmp_path / "model.json", tmp_path / "out")


# ---- broken and hostile files


@pytest.fixture
def saved(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")])
    (tmp_path / "model.json").write_text(json.dumps(describe(model)))
    for suffix in (".keras", ".h5", ".weights.h5"):
        (model.save_weights if "weights" in suffix else model.save)(tmp_path / f"m{suffix}")
    return tmp_path


def refuse(keras_probe, folder, name, message, command="read"):
    with pytest.raises(keras_probe.Refused, match=message) as refusal:
        keras_probe(command, folder / name, folder / "model.json", folder / "out")
    assert name in str(refusal.value)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_truncated_files(keras_probe, saved, suffix, share):
    whole = (saved / f"m{suffix}").read_bytes()
    (saved / f"cut{suffix}").write_bytes(whole[: int(len(whole) * share)])
    refuse(keras_probe, saved, f"cut{suffix}", "whole zip archive" if suffix == ".keras" else "whole HDF5 file")


def rewrite(source, target, **changes):
    """A copy of the archive with members replaced (None: left out), or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        members = {name: old.read(name) for name in old.namelist()}
        members.update(changes)
        for name, data in members.items():
            if data is not None:
                new.writestr(name, data)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"config.json": None}, "has no config.json"),
        ({"config.json": b"{"}, "config.json: not JSON"),
        ({"config.json": b"[]"}, "config.json is not a JSON object"),
        ({"config.json": b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}"}, "config.json: nested deeper than 256 levels"),
        ({"model.weights.h5": None}, "has no model.weights.h5"),
        ({"model.weights.h5": None, "model.weights.npz": b""}, "weights_format='h5'"),
        ({"model.weights.h5": b"garbage"}, "model.weights.h5: not a whole HDF5 file"),
        ({"../../etc/passwd": b"x"}, r"member '../../etc/passwd' climbs out"),
        ({"assets/../../x": b"x"}, "climbs out"),
        ({"/etc/passwd": b"x"}, "climbs out"),
        ({"..\\x": b"x"}, "climbs out"),
    ],
    ids=lambda value: None if isinstance(value, str) else "+".join(value).replace("/", ""),
)
def test_broken_archives(keras_probe, saved, changes, message):
    rewrite(saved / "m.keras", saved / "bad.keras", **changes)
    refuse(keras_probe, saved, "bad.keras", message)


def test_a_zip_bomb(keras_probe, saved):
    rewrite(saved / "m.keras", saved / "bad.keras")
    text = (saved / "bad.keras").read_bytes()
    central = text.index(b"config.json", text.index(b"PK\x01\x02")) - 46
    text = text[: central + 24] + struct.pack("<I", (1 << 32) - 2) + text[central + 28 :]
    (saved / "bad.keras").write_bytes(text)
    refuse(keras_probe, saved, "bad.keras", "config.json|broken|whole")


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def external_link(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense/vars/1")


def external_data(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars"].create_dataset("0", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])


def virtual_data(file):
    del file["layers/dense/vars/0"]
    virtual = h5py.VirtualLayout((4, 3), "f4")
    virtual[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4, 3))
    file["layers/dense/vars"].create_virtual_dataset("0", virtual)


def shape_bomb(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars"].create_dataset("0", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024), compression="gzip")


def cycle(file):
    file["layers/dense/again"] = file["layers"]


def other_shape(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = np.zeros((3, 4), np.float32)


def missing(file):
    del file["layers/dense/vars/1"]


def text_for_numbers(file):
    del file["layers/dense/vars/1"]
    file["layers/dense/vars"].create_dataset("1", data=b"text")


@pytest.mark.parametrize(
    "change, message",
    [
        (external_link, "'layers/dense/vars/0' is a link to elsewhere"),
        (soft_link, "'layers/dense/vars/0' is a link to elsewhere"),
        (external_data, "'layers/dense/vars/0' has its data in another file"),
        (virtual_data, "'layers/dense/vars/0' has its data in another file"),
        (shape_bomb, "'layers/dense/vars/0' claims more data than the file can hold"),
        (cycle, "is linked twice"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_hostile_hdf5(keras_probe, saved, change, message):
    edit(saved / "m.weights.h5", change)
    refuse(keras_probe, saved, "m.weights.h5", message, command="weights")


@pytest.mark.parametrize(
    "change, message",
    [
        (other_shape, r"weight '.*dense/kernel' has shape \[3, 4\] in the file, the model wants \[4, 3\]"),
        (missing, "weight '.*dense/bias' is not in the file: 'layers/dense/vars/1' is missing"),
        (text_for_numbers, "weight '.*dense/bias' is not in the file"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_weights_that_do_not_fit(keras_probe, saved, change, message):
    edit(saved / "m.weights.h5", change)
    with pytest.raises(keras_probe.Refused, match=message):
        keras_probe("weights", saved / "m.weights.h5", saved / "model.json", saved / "out")


def test_other_files(keras_probe, saved):
    with h5py.File(saved / "data.h5", "w") as file:
        file["x"] = np.zeros(3)
    refuse(keras_probe, saved, "data.h5", "holds weights but no model")
    refuse(keras_probe, saved, "data.h5", "holds no Keras weights", command="weights")
    refuse(keras_probe, saved, "none.keras", "no such file")
    os.mkdir(saved / "folder.h5")
    refuse(keras_probe, saved, "folder.h5", "is not a file")


def test_damage_anywhere_never_ends_the_reader(keras_probe, saved):
    """libhdf5 crashes and loops on some of these; the reader lives on and says so, or reads what is left."""
    whole = (saved / "m.weights.h5").read_bytes()
    random = np.random.default_rng(11)
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        for at in random.integers(0, 4096, 8):
            damaged[at] = random.integers(0, 256)
        (saved / "bad.weights.h5").write_bytes(damaged)
        try:
            keras_probe("weights", saved / "bad.weights.h5", saved / "model.json", saved / "out")
        except keras_probe.Refused:
            refused += 1
    assert refused > 10
