"""Whole models of the basic layers: predictions, evaluation and training are Keras'."""

import keras
import numpy as np
import pytest
from judge import Case, assert_agrees, judge
from keras import layers

random = np.random.default_rng(5)
ROWS = 80
FLAT = random.normal(size=(ROWS, 12)).astype(np.float32)
IMAGES = random.normal(size=(ROWS, 10, 9, 2)).astype(np.float32)
CLASSES = random.integers(0, 5, size=ROWS).astype(np.int64)
ONE_HOT = np.eye(5, dtype=np.float32)[CLASSES]
NUMBERS = random.normal(size=(ROWS, 3)).astype(np.float32)
BINARY = random.integers(0, 2, size=(ROWS, 1)).astype(np.float32)


def mlp(outputs, activation=None):
    def make():
        return keras.Sequential(
            [
                keras.Input((12,)),
                layers.Dense(16, activation="relu"),
                layers.Dense(8, activation="tanh"),
                layers.Dense(outputs, activation=activation),
            ]
        )

    return make


def cnn():
    return keras.Sequential(
        [
            keras.Input((10, 9, 2)),
            layers.Conv2D(4, 3, activation="relu", padding="same"),
            layers.BatchNormalization(momentum=0.8),
            layers.MaxPooling2D(2),
            layers.Conv2D(6, (3, 2), strides=(2, 1)),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )


def two_heads():
    left = keras.Input((12,), name="left")
    right = keras.Input((10, 9, 2), name="right")
    shared = layers.Dense(6, activation="relu", name="shared")
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="tanh"), layers.Dense(6)], name="inner")
    a = inner(shared(left))
    b = shared(layers.Dense(12)(layers.Flatten()(right)))
    return keras.Model([left, right], [layers.Dense(5, activation="softmax", name="kind")(a), layers.Dense(3, name="size")(inner(b))])


SGD = keras.optimizers.SGD
CASES = [
    Case("mlp on class indices", mlp(5, "softmax"), FLAT, CLASSES,
         dict(optimizer=SGD(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"]), epochs=4),
    Case("mlp on one-hot labels", mlp(5, "softmax"), FLAT, ONE_HOT,
         dict(optimizer=SGD(0.1), loss="categorical_crossentropy", metrics=["accuracy", "mse"]), epochs=4),
    Case("mlp on logits", mlp(5), FLAT, CLASSES,
         dict(optimizer=SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
              metrics=["acc"]), epochs=4),
    Case("mlp on binary labels", mlp(1, "sigmoid"), FLAT, BINARY,
         dict(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"]), epochs=4),
    Case("binary labels without an axis", mlp(1, "sigmoid"), FLAT, BINARY[:, 0],
         dict(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"]), epochs=4),
    Case("regression", mlp(3), FLAT, NUMBERS,
         dict(optimizer="rmsprop", loss="mse", metrics=["mae", "mean_squared_error"]), epochs=4),
    Case("regression with sample weights", mlp(3), FLAT, NUMBERS,
         dict(optimizer=SGD(0.05), loss="mae", metrics=["mse"], weighted_metrics=["mse"]),
         sample_weight=random.uniform(0, 2, size=ROWS).astype(np.float32), epochs=4),
    Case("a batch that does not divide the rows", mlp(3), FLAT[:70], NUMBERS[:70],
         dict(optimizer=SGD(0.05), loss="mse", metrics=["mae"]), batch_size=32, epochs=4),
    Case("cnn with batch normalization", cnn, IMAGES, CLASSES,
         dict(optimizer=SGD(0.05), loss="sparse_categorical_crossentropy", metrics=["accuracy"]), epochs=4),
    Case("two inputs, two outputs, shared and nested", two_heads, [FLAT, IMAGES], [CLASSES, NUMBERS],
         dict(optimizer=SGD(0.02), loss=["sparse_categorical_crossentropy", "mse"], loss_weights=[0.7, 0.3],
              metrics=[["accuracy"], ["mae", "mse"]]), epochs=4),
    Case("losses and metrics by output name", two_heads, [FLAT, IMAGES], [CLASSES, NUMBERS],
         dict(optimizer=SGD(0.02), loss={"kind": "sparse_categorical_crossentropy", "size": "mae"},
              loss_weights={"kind": 1.0, "size": 0.5}, metrics={"size": ["mse"]}), epochs=4),
]


@pytest.fixture(scope="module")
def answers():
    return judge(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_model_agrees_with_keras(answers, name):
    assert_agrees(answers[name])
