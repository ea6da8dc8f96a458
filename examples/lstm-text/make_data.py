#!/usr/bin/env python3
"""Writes data.npz: x [rows, 80] word numbers below 10,000, padded with 0 behind; y 1 for a positive text, else 0.

    python3 make_data.py                the 25,000 training reviews of IMDB; Keras downloads them
    python3 make_data.py --synthetic    no download: 3,000 made-up reviews

In a made-up review words praise, blame or say nothing, and the last verdict counts. So the order of words matters, and a
sum over them does not do.

--rows N takes the first N reviews, or makes N. --output FILE writes elsewhere.
"""

import argparse
import pathlib

import numpy as np

WORDS, LENGTH = 10_000, 80


def imdb(rows):
    import keras

    (texts, labels), _ = keras.datasets.imdb.load_data(num_words=WORDS)
    x = keras.utils.pad_sequences(texts[:rows], maxlen=LENGTH, padding="post")
    return x, labels[:rows]


def synthetic(rows):
    random = np.random.default_rng(1)
    praise, blame, neutral = (np.arange(first, first + 10) for first in (10, 20, 30))
    x = np.zeros((rows, LENGTH), np.int64)
    y = np.zeros(rows, np.int64)
    for row in range(rows):
        words = []
        for _ in range(random.integers(2, 6)):  # sentences
            y[row] = random.integers(2)
            words.append(random.choice(praise if y[row] else blame))
            words += list(random.choice(neutral, random.integers(1, 8)))
        x[row, : len(words)] = words
    return x, y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--output", default=pathlib.Path(__file__).with_name("data.npz"))
    arguments = parser.parse_args()
    x, y = synthetic(arguments.rows or 3000) if arguments.synthetic else imdb(arguments.rows)
    np.savez(arguments.output, x=x.astype(np.int64), y=y.astype(np.int64))


if __name__ == "__main__":
    main()
