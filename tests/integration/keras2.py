"""Model files as Keras 2 wrote them: the layers' own get_config of tf_keras 2.15, by hand, into the legacy HDF5 or
into its .keras."""

import json
import zipfile

import h5py
import numpy as np

_SHARED = iter(range(1, 1_000_000))


def obj(class_name, **config):
    return {"class_name": class_name, "config": config, "shared_object_id": next(_SHARED)}


def _regularizers(*names):
    return {f"{name}_{kind}": None for name in names for kind in ("regularizer", "constraint")}


def _base(name):
    return {"name": name, "trainable": True, "dtype": "float32"}


def glorot():
    return obj("GlorotUniform", seed=None)


def zeros():
    return obj("Zeros")


def input_layer(name, shape, dtype="float32"):
    return obj("InputLayer", batch_input_shape=[None, *shape], dtype=dtype, sparse=False, ragged=False, name=name)


def dense(name, units, activation="linear", **first):
    return obj(
        "Dense", **_base(name), **first, units=units, activation=activation, use_bias=True, activity_regularizer=None,
        kernel_initializer=glorot(), bias_initializer=zeros(), **_regularizers("kernel", "bias"))


def embedding(name, tokens, width, **options):
    return obj(
        "Embedding", **_base(name), **options, input_dim=tokens, output_dim=width, activity_regularizer=None,
        embeddings_initializer=obj("RandomUniform", minval=-0.05, maxval=0.05, seed=None),
        **_regularizers("embeddings"), mask_zero=True, input_length=None)


def recurrent(class_name, name, units, **options):
    config = {
        **_base(name), "return_sequences": False, "return_state": False, "go_backwards": False, "stateful": False,
        "unroll": False, "time_major": False, "units": units, "activation": "tanh", "use_bias": True,
        "kernel_initializer": glorot(), "recurrent_initializer": obj("Orthogonal", gain=1.0, seed=None),
        "bias_initializer": zeros(), "activity_regularizer": None, "dropout": 0.0, "recurrent_dropout": 0.0,
        **_regularizers("kernel", "recurrent", "bias")}
    if class_name != "SimpleRNN":
        config.update(recurrent_activation="sigmoid", implementation=2)
    if class_name == "LSTM":
        config.update(unit_forget_bias=True)
    if class_name == "GRU":
        config.update(reset_after=True)
    return obj(class_name, **{**config, **options})


def convolution(class_name, name, filters, size, **options):
    config = {
        **_base(name), "filters": filters, "kernel_size": [size, size], "strides": [1, 1], "padding": "valid",
        "data_format": "channels_last", "dilation_rate": [1, 1], "groups": 1, "activation": "relu", "use_bias": True,
        "kernel_initializer": glorot(), "bias_initializer": zeros(), "activity_regularizer": None,
        **_regularizers("kernel", "bias")}
    if class_name == "Conv2DTranspose":
        config.update(output_padding=None)
    if class_name in ("SeparableConv2D", "DepthwiseConv2D"):
        config.update(depth_multiplier=1, depthwise_initializer=glorot(), **_regularizers("depthwise"))
    if class_name == "SeparableConv2D":
        config.update(pointwise_initializer=glorot(), **_regularizers("pointwise"))
    if class_name == "DepthwiseConv2D":
        for field in ("filters", "kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            del config[field]
    return obj(class_name, **{**config, **options})


def batch_normalization(name, axis, **options):
    return obj(
        "BatchNormalization", **_base(name), axis=[axis], momentum=0.99, epsilon=0.001, center=True, scale=True,
        beta_initializer=zeros(), gamma_initializer=obj("Ones"), moving_mean_initializer=zeros(),
        moving_variance_initializer=obj("Ones"), **_regularizers("beta", "gamma"), **options)


def layer_normalization(name, axis):
    return obj(
        "LayerNormalization", **_base(name), axis=[axis], epsilon=0.001, center=True, scale=True,
        beta_initializer=zeros(), gamma_initializer=obj("Ones"), **_regularizers("beta", "gamma"))


def attention(name, heads, width, shape):
    return obj(
        "MultiHeadAttention", **_base(name), num_heads=heads, key_dim=width, value_dim=width, dropout=0.0,
        use_bias=True, output_shape=None, attention_axes=[1], kernel_initializer=glorot(), bias_initializer=zeros(),
        activity_regularizer=None, **_regularizers("kernel", "bias"),
        query_shape=shape, key_shape=shape, value_shape=shape)


def called(layer, *calls):
    """A layer of a functional model, called on what comes out of others: names, or inbound nodes."""
    nodes = [[call if isinstance(call, list) else [call, 0, 0, {}] for call in calls]] if calls else []
    return {**layer, "name": layer["config"]["name"], "inbound_nodes": nodes}


def functional(layers, inputs, outputs, class_name="Functional", name="model"):
    return obj(
        class_name, name=name, trainable=True, layers=layers,
        input_layers=[[name, 0, 0] for name in inputs], output_layers=[[name, 0, 0] for name in outputs])


def sequential(*layers, name="sequential"):
    return obj("Sequential", name=name, layers=list(layers))


def loss_object(class_name, **config):
    return obj(class_name, reduction="auto", name="loss", **config)


def sgd(rate):
    return {"class_name": "SGD", "config": {
        "name": "SGD", "weight_decay": None, "clipnorm": None, "global_clipnorm": None, "clipvalue": None,
        "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None, "jit_compile": False,
        "is_legacy_optimizer": False, "learning_rate": rate, "momentum": 0.0, "nesterov": False}}


def save(path, config, weights, loss, version=b"2.15.0", rate=0.05):
    """`weights`: {name of a top-level layer: its arrays, trainable ones first}."""
    accuracy = obj("MeanMetricWrapper", name="accuracy", dtype="float32", fn="sparse_categorical_accuracy")
    crossentropy = obj("MeanMetricWrapper", name="ce", dtype="float32", fn="sparse_categorical_crossentropy")
    training = {"loss": loss, "metrics": [[accuracy, crossentropy]], "weighted_metrics": None, "loss_weights": None,
                "optimizer_config": sgd(rate)}
    with h5py.File(path, "w") as file:
        file.attrs.update(keras_version=version, backend=b"tensorflow", model_config=json.dumps(config).encode(),
                          training_config=json.dumps(training).encode())
        root = file.create_group("model_weights")
        root.attrs.update(keras_version=version, backend=b"tensorflow",
                          layer_names=[name.encode() for name in weights])
        for layer, arrays in weights.items():
            group = root.create_group(layer)
            names = [f"{layer}/weight_{i}:0" for i in range(len(arrays))]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, arrays):
                group[name] = np.asarray(array)


def _with_modules(layer):
    """What .keras says about a layer, a model or an initializer and the legacy HDF5 does not."""
    if isinstance(layer, list):
        return [_with_modules(item) for item in layer]
    if not isinstance(layer, dict):
        return layer
    out = {name: _with_modules(value) for name, value in layer.items() if name != "shared_object_id"}
    if "class_name" not in layer:
        return out
    registered = None
    if layer["class_name"] == "Functional":
        module, registered = "keras.src.engine.functional", "Functional"
    elif layer["class_name"] == "Sequential":
        module = "keras"
    else:
        module = "keras.initializers" if "name" not in layer["config"] else "keras.layers"
    return {**out, "module": module, "registered_name": registered}


def save_archive(path, config, model, steps):
    """A .keras of tf_keras 2.15 with the weights of a Keras 3 model, which lie in the same places. It was compiled
    with SGD, whose moments it has without momentum too, and has no variable for the learning rate."""
    compiled = {"optimizer": {"module": "keras.optimizers", "registered_name": None, **sgd(0.05)},
                "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "loss_weights": None,
                "weighted_metrics": None, "run_eagerly": None, "steps_per_execution": None, "jit_compile": None}
    image = path.with_suffix(".weights.h5")
    model.save_weights(image)
    with h5py.File(image, "r+") as file:
        for name in ("query", "key", "value", "output"):  # private in Keras 2
            if f"layers/multi_head_attention/{name}_dense" in file:
                file.move(f"layers/multi_head_attention/{name}_dense", f"layers/multi_head_attention/_{name}_dense")
        state = [np.int64(steps), *(np.zeros(weight.shape, np.float32) for weight in model.trainable_weights)]
        for number, value in enumerate(state if steps else state[:1]):  # no moments before the first step
            file[f"optimizer/vars/{number}"] = value
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0", "date_saved": "2023-11-13@10:00:00"}))
        archive.writestr("config.json", json.dumps({**_with_modules(config), "compile_config": compiled}))
        archive.write(image, "model.weights.h5")
    image.unlink()
