#!/usr/bin/env python3
"""Writes model.json: a small U-Net (Ronneberger and others, 2015) that marks pixels of images of 32x32."""

import pathlib

import keras
from keras import layers


def double_convolution(x, filters, name):
    for letter in "ab":
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"{name}_{letter}")(x)
    return x


def make_model():
    image = keras.Input((32, 32, 1), name="image")
    x, skips = image, []
    for level, filters in enumerate((8, 16), start=1):
        x = double_convolution(x, filters, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    x = double_convolution(x, 32, "bottom")
    x = layers.SpatialDropout2D(0.1, name="bottom_dropout")(x)
    for level, filters in ((2, 16), (1, 8)):
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"up{level}_skip")([skips[level - 1], x])
        x = double_convolution(x, filters, f"up{level}")
    mask = layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x)
    return keras.Model(image, mask, name="unet")


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("model.json").write_text(make_model().to_json(indent=1) + "\n")
