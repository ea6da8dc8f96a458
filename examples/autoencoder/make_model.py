#!/usr/bin/env python3
"""Writes model.json: a convolutional autoencoder, 28x28 pixels through a code of 7x7x4 and back."""

import pathlib

import keras
from keras import layers


def make_model():
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Conv2D(16, 3, strides=2, padding="same", name="encode_1")(image)
    x = layers.LeakyReLU(negative_slope=0.1, name="encode_1_relu")(x)
    code = layers.Conv2D(4, 3, strides=2, padding="same", activation="tanh", name="code")(x)
    x = layers.UpSampling2D(2, name="up_1")(code)
    x = layers.Conv2D(16, 3, padding="same", activation="elu", name="decode_1")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="up_2")(x)
    pixels = layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="pixels")(x)
    return keras.Model(image, pixels, name="autoencoder")


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("model.json").write_text(make_model().to_json(indent=1) + "\n")
