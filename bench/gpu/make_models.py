"""Writes models/*.json, the models of `make gpu-bench`: run it with real Keras after a change here.

    ~/.cache/elephas/venv/bin/python bench/gpu/make_models.py
"""

import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
from keras import layers


def mlp():
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(1024, activation="relu", name="hidden_1"),
            layers.Dense(1024, activation="relu", name="hidden_2"),
            layers.Dense(10, activation="softmax", name="probabilities"),
        ],
        name="mlp",
    )


def cnn():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv_1"),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv_2"),
            layers.MaxPooling2D(name="pool_1"),
            layers.Conv2D(128, 3, padding="same", activation="relu", name="conv_3"),
            layers.Conv2D(128, 3, padding="same", activation="relu", name="conv_4"),
            layers.MaxPooling2D(name="pool_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(10, activation="softmax", name="probabilities"),
        ],
        name="cnn",
    )


def resnet18():
    """ResNet-18's blocks on images of 32x32, with the 3x3 stem that is usual at that size."""
    count = 0

    def convolve(x, filters, size=3, strides=1):
        nonlocal count
        count += 1
        x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=f"conv_{count}")(x)
        return layers.BatchNormalization(name=f"norm_{count}")(x)

    def block(x, filters, strides):
        shortcut = x if strides == 1 and x.shape[-1] == filters else convolve(x, filters, 1, strides)
        y = layers.Activation("relu", name=f"relu_{count}a")(convolve(x, filters, strides=strides))
        y = layers.Add(name=f"add_{count}")([convolve(y, filters), shortcut])
        return layers.Activation("relu", name=f"relu_{count}b")(y)

    inputs = keras.Input((32, 32, 3), name="images")
    x = layers.Activation("relu", name="stem_relu")(convolve(inputs, 64))
    for filters, strides in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        x = block(x, filters, strides)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="probabilities")(x), name="resnet18")


def transformer(tokens=1000, length=128, width=256, heads=4, depth=4):
    inputs = keras.Input((length,), dtype="int32", name="tokens")
    x = layers.Embedding(tokens, width, name="embedding")(inputs)
    for i in range(depth):
        y = layers.LayerNormalization(epsilon=1e-5, name=f"norm_{i}a")(x)
        y = layers.MultiHeadAttention(heads, width // heads, name=f"attention_{i}")(y, y)
        x = layers.Add(name=f"add_{i}a")([x, y])
        y = layers.LayerNormalization(epsilon=1e-5, name=f"norm_{i}b")(x)
        y = layers.Dense(4 * width, activation="relu", name=f"wide_{i}")(y)
        y = layers.Dense(width, name=f"narrow_{i}")(y)
        x = layers.Add(name=f"add_{i}b")([x, y])
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="probabilities")(x), name="transformer")


if __name__ == "__main__":
    folder = pathlib.Path(__file__).parent / "models"
    for make in (mlp, cnn, resnet18, transformer):
        model = make()
        (folder / f"{model.name}.json").write_text(model.to_json() + "\n")
        print(model.name, model.count_params())
