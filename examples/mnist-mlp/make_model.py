#!/usr/bin/env python3
"""Writes model.json: the multilayer perceptron of Elephas' MNIST examples."""

import pathlib

import keras
from keras import layers


def make_model():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Flatten(name="flatten"),
            layers.Dense(128, name="dense_1"),
            layers.Activation("relu", name="relu_1"),
            layers.Dropout(0.2, name="dropout_1"),
            layers.Dense(128, name="dense_2"),
            layers.Activation("relu", name="relu_2"),
            layers.Dropout(0.2, name="dropout_2"),
            layers.Dense(10, name="dense_3"),
            layers.Activation("softmax", name="digit"),
        ],
        name="mnist_mlp",
    )


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("model.json").write_text(make_model().to_json(indent=1) + "\n")
