#!/usr/bin/env python3
"""Writes model.json: Keras' and Elephas' classic convolutional network for MNIST."""

import pathlib

import keras
from keras import layers


def make_model():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(32, 3, activation="relu", name="conv_1"),
            layers.Conv2D(64, 3, activation="relu", name="conv_2"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Dropout(0.25, name="dropout_1"),
            layers.Flatten(name="flatten"),
            layers.Dense(128, activation="relu", name="dense"),
            layers.Dropout(0.5, name="dropout_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="mnist_cnn",
    )


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("model.json").write_text(make_model().to_json(indent=1) + "\n")
