#!/usr/bin/env python3
"""Writes model.json: residual blocks (He and others, 2016) for images of 32x32 pixels in 10 classes.

Three stages of 16, 32 and 64 filters; BLOCKS in each, so that 3 blocks are the paper's ResNet-20.
"""

import pathlib

import keras
from keras import layers

BLOCKS = 1


def convolution(x, filters, name, strides=1, size=3):
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(1e-4),
        name=name,
    )(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


def block(x, filters, name, strides):
    y = convolution(x, filters, f"{name}_a", strides)
    y = layers.ReLU(name=f"{name}_a_relu")(y)
    y = convolution(y, filters, f"{name}_b")
    if strides != 1 or x.shape[-1] != filters:
        x = convolution(x, filters, f"{name}_shortcut", strides, size=1)
    x = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(x)


def make_model():
    image = keras.Input((32, 32, 3), name="image")
    x = layers.ReLU(name="stem_relu")(convolution(image, 16, "stem"))
    for stage, filters in enumerate((16, 32, 64), start=1):
        for number in range(1, BLOCKS + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = block(x, filters, f"stage{stage}_block{number}", strides)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="class")(x), name="resnet")


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("model.json").write_text(make_model().to_json(indent=1) + "\n")
