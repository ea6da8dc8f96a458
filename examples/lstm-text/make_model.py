#!/usr/bin/env python3
"""Writes model.json: embedded words, an LSTM that skips the padding, one probability."""

import pathlib

import keras
from keras import layers

WORDS, LENGTH = 10_000, 80


def make_model(masked=True):
    words = keras.Input((LENGTH,), dtype="int32", name="words")
    x = layers.Embedding(WORDS, 32, mask_zero=masked, name="embedding")(words)
    x = layers.LSTM(64, name="lstm")(x)
    return keras.Model(words, layers.Dense(1, activation="sigmoid", name="positive")(x), name="lstm_text")


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("model.json").write_text(make_model().to_json(indent=1) + "\n")
