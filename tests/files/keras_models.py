"""Models of many kinds for the tests of Keras' files, and their description for keras_file_probe."""

import json

import keras
import numpy as np
from keras import layers as L


def mlp():
    return keras.Sequential([L.Input((8,)), L.Dense(5, activation="relu"), L.Dropout(0.1), L.Dense(4), L.Dense(3)])


def sequential_without_input():
    model = keras.Sequential([L.Dense(5), L.Dense(3)])
    model.build((None, 8))
    return model


def convolutions():
    return keras.Sequential(
        [
            L.Input((12, 12, 4)),
            L.Conv2D(6, 3, groups=2),
            L.BatchNormalization(),
            L.PReLU(),
            L.SeparableConv2D(5, 3),
            L.DepthwiseConv2D(3),
            L.Conv2DTranspose(4, 2),
            L.GroupNormalization(2),
            L.LayerNormalization(),
            L.Flatten(),
            L.Dense(3, use_bias=False),
        ]
    )


def other_dimensions():
    return keras.Sequential(
        [L.Input((6, 6, 6, 2)), L.Conv3D(3, 2), L.Reshape((25, 15)), L.Conv1D(4, 3), L.Conv1DTranspose(2, 2),
         L.SeparableConv1D(3, 2), L.DepthwiseConv1D(2), L.GlobalMaxPooling1D(), L.Dense(2)]
    )


def text():
    tokens = L.Input((6,), name="tokens")
    x = L.Embedding(10, 4, mask_zero=True)(tokens)
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(x)
    x = L.TimeDistributed(L.Dense(4))(x)
    attended = L.MultiHeadAttention(2, 3, dropout=0.1)(x, x)
    x = L.LayerNormalization()(L.Add()([x, attended]))
    x = L.GRU(4, return_sequences=True)(x)
    x = L.Bidirectional(L.GRU(2, reset_after=False), merge_mode="sum")(x)
    return keras.Model(tokens, L.Dense(2, activation="softmax")(x))


def recurrent():
    steps = L.Input((5, 3))
    x = L.SimpleRNN(4, return_sequences=True)(steps)
    x = L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True)(x)
    return keras.Model(steps, L.LSTM(2, use_bias=False)(x))


def nested():
    inner = keras.Sequential([L.Input((4,)), L.Dense(5), L.BatchNormalization(), L.Dense(4)], name="inner")
    features = L.Input((4,))
    branch = keras.Model(features, L.Dense(4)(inner(features)), name="branch")
    left, right = L.Input((4,), name="left"), L.Input((4,), name="right")
    x = L.Concatenate()([branch(left), branch(right), inner(left)])
    x = L.Dense(6)(x)
    return keras.Model([left, right], [L.Dense(1, name="one")(x), L.Dense(2, name="two")(x)])


def shared_layer():
    dense = L.Dense(4, name="shared")
    first, second = L.Input((4,)), L.Input((4,))
    return keras.Model([first, second], L.Dense(2)(L.Add()([dense(dense(first)), dense(second)])))


def parallel_branches():
    """Branches of different depth, so that the order of layers is not the order of creation."""
    x = L.Input((4,))
    short = L.Dense(4, name="short")(x)
    long = L.Dense(4, name="long_1")(x)
    long = L.Dense(4, name="long_2")(L.Dense(4, name="long_3")(long))
    early = L.Dense(4, name="early")(x)
    return keras.Model(x, [L.Dense(4, name="end")(L.Concatenate()([long, short])), early])


def frozen():
    model = keras.Sequential([L.Input((4,)), L.Dense(4), L.BatchNormalization(), L.Dense(4), L.Dense(2)])
    model.layers[0].trainable = False
    model.layers[1].trainable = False
    return model


def normalization():
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    return keras.Sequential([L.Input((4,)), layer, L.Dense(2)])


def time_distributed_model():
    inner = keras.Sequential([L.Input((4, 4, 1)), L.Conv2D(2, 3), L.Flatten(), L.Dense(3)])
    frames = L.Input((5, 4, 4, 1))
    return keras.Model(frames, L.LSTM(3)(L.TimeDistributed(inner)(frames)))


def without_weights():
    return keras.Sequential([L.Input((4,)), L.ReLU()])


MODELS = [
    mlp,
    sequential_without_input,
    convolutions,
    other_dimensions,
    text,
    recurrent,
    nested,
    shared_layer,
    parallel_branches,
    frozen,
    normalization,
    time_distributed_model,
    without_weights,
]


def randomize(variables, seed=1):
    """Every number different, so that a swap of two variables shows."""
    random = np.random.default_rng(seed)
    for variable in variables:
        if "int" in str(variable.dtype):
            continue
        values = random.normal(size=variable.shape).astype(np.float32)
        variable.assign(abs(values) + 0.1 if "variance" in variable.name else values)


def inner_objects(layer):
    """(attribute, object) of what a layer or model keeps its weights in, as Keras' saving meets them."""
    if isinstance(layer, keras.Model):
        return [("layers", inner) for inner in layer.layers]
    found = []
    for inner in layer._layers:
        names = [name for name in sorted(dir(layer), key=lambda name: (name.startswith("_"), name))
                 if not name.startswith("__") and getattr(layer, name, None) is inner]
        if names:
            found.append((names[0], inner))
        elif isinstance(inner, keras.Layer) and inner in getattr(layer, "cells", []):
            found.append(("cells", inner))
    return found


def tree(layer, attribute=""):
    own = layer._trainable_variables + layer._non_trainable_variables
    return {
        "attribute": attribute,
        "name": layer.name,
        "class_name": type(layer).__name__,
        "variables": [{"path": v.path, "shape": list(v.shape), "trainable": v.trainable} for v in own],
        "children": [tree(inner, name) for name, inner in inner_objects(layer)],
    }


def layout(model):
    weights, offset = [], 0
    for trainable in (True, False):
        for variable in model.weights:
            if variable.trainable != trainable:
                continue
            size = int(np.prod(variable.shape))
            weights.append({"name": variable.path, "shape": list(variable.shape), "trainable": trainable,
                            "offset": offset, "size": size})
            offset += size
    return {
        "weights": weights,
        "trainableElements": sum(w["size"] for w in weights if w["trainable"]),
        "totalElements": offset,
        "optimizer": None,
        "slotNames": [],
        "examples": 1,
    }


def optimizer_config(optimizer):
    return json.loads(json.dumps(keras.optimizers.serialize(optimizer)))


def describe(model, **more):
    return {"tree": tree(model), "layout": layout(model), "config": json.loads(model.to_json()),
            "compile": None, "optimizer": None, **more}


def weights_of(model):
    return {variable.path: np.asarray(variable).astype(np.float32) for variable in model.weights}


def weights_by_layer(model):
    """As weights_of, but by names that survive loading: paths change with the models around a layer."""
    return {f"{layer.name}/{i}": np.asarray(weight) for layer in model.layers for i, weight in enumerate(layer.weights)}
