#!/usr/bin/env python3
"""Writes data.npz: x [rows, 32, 32, 3] with mean 0 and spread about 1, y a class from 0 to 9.

    python3 make_data.py                CIFAR-10's 50,000 training images; Keras downloads them
    python3 make_data.py --synthetic    no download: 2,000 gratings whose class is their direction and colour, in noise

--rows N takes the first N images, or makes N. --output FILE writes elsewhere.
"""

import argparse
import pathlib

import numpy as np


def cifar(rows):
    import keras

    (images, labels), _ = keras.datasets.cifar10.load_data()
    return (images[:rows].astype(np.float32) - 120) / 64, labels[:rows, 0]


def synthetic(rows):
    """Class c: stripes in one of five directions; the first five classes are red, the others blue."""
    random = np.random.default_rng(1)
    labels = random.permutation(np.arange(rows) % 10)
    down, right = np.mgrid[0:32, 0:32] / 32
    images = random.normal(0, 0.5, size=(rows, 32, 32, 3))
    for image, label in zip(images, labels):
        angle = np.pi * (label % 5) / 5
        phase = random.uniform(0, 2 * np.pi)
        stripes = np.sin(2 * np.pi * 4 * (right * np.cos(angle) + down * np.sin(angle)) + phase)
        image[..., 0 if label < 5 else 2] += stripes
    return images.astype(np.float32), labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--output", default=pathlib.Path(__file__).with_name("data.npz"))
    arguments = parser.parse_args()
    images, labels = synthetic(arguments.rows or 2000) if arguments.synthetic else cifar(arguments.rows)
    np.savez(arguments.output, x=images, y=labels.astype(np.int64))


if __name__ == "__main__":
    main()
