#!/usr/bin/env python3
"""Writes model.json: two blocks of a transformer encoder (Vaswani and others, 2017) over words and their positions.

Positions are an input of their own, so that the file holds nothing but Keras' own layers.
"""

import pathlib

import keras
from keras import layers

WORDS, LENGTH, WIDTH, HEADS = 1000, 24, 32, 4


def block(x, name):
    attended = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"{name}_attention")(x, x)
    attended = layers.Dropout(0.1, name=f"{name}_dropout_1")(attended)
    x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm_1")(x + attended)
    y = layers.Dense(2 * WIDTH, activation="gelu", name=f"{name}_dense_1")(x)
    y = layers.Dense(WIDTH, name=f"{name}_dense_2")(y)
    y = layers.Dropout(0.1, name=f"{name}_dropout_2")(y)
    return layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm_2")(x + y)


def make_model():
    words = keras.Input((LENGTH,), dtype="int32", name="words")
    positions = keras.Input((LENGTH,), dtype="int32", name="positions")
    x = layers.Embedding(WORDS, WIDTH, name="word_embedding")(words)
    x = x + layers.Embedding(LENGTH, WIDTH, name="position_embedding")(positions)
    for number in (1, 2):
        x = block(x, f"block{number}")
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    outputs = layers.Dense(2, activation="softmax", name="class")(x)
    return keras.Model([words, positions], outputs, name="transformer")


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("model.json").write_text(make_model().to_json(indent=1) + "\n")
