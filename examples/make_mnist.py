#!/usr/bin/env python3
"""Writes mnist.npz, the data of mnist-mlp, mnist-cnn and autoencoder: x [rows, 28, 28, 1] from 0 to 1, y the digit.

    python3 make_mnist.py              MNIST's 60,000 training images; Keras downloads them
    python3 make_mnist.py --digits     no download: digits/digits.csv, enlarged, in 4,000 random positions

--rows N takes the first N images, or draws N positions. --output FILE writes elsewhere.
"""

import argparse
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def mnist(rows):
    import keras

    (images, labels), _ = keras.datasets.mnist.load_data()
    return images[:rows].astype(np.float32) / 255, labels[:rows]


def digits(rows, shift=1):
    """The 8x8 digits with each pixel as 3x3, up to one pixel off the middle."""
    table = np.loadtxt(HERE / "digits" / "digits.csv", delimiter=",", skiprows=1, dtype=np.float32)
    small = table[:, :64].reshape(-1, 8, 8) / 16
    random = np.random.default_rng(1)
    images = np.zeros((rows, 28, 28), np.float32)
    labels = np.empty(rows, np.int64)
    for row in range(rows):
        source = row % len(small)
        down, right = random.integers(0, 2 * shift + 1, size=2)
        down, right = down + 2 - shift, right + 2 - shift
        images[row, down : down + 24, right : right + 24] = small[source].repeat(3, axis=0).repeat(3, axis=1)
        labels[row] = table[source, 64]
    return images, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", action="store_true")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--output", default=HERE / "mnist.npz")
    arguments = parser.parse_args()
    images, labels = digits(arguments.rows or 4000) if arguments.digits else mnist(arguments.rows)
    np.savez(arguments.output, x=images[..., np.newaxis], y=labels.astype(np.int64))


if __name__ == "__main__":
    main()
