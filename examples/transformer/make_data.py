#!/usr/bin/env python3
"""Writes data.npz: words [rows, 24] numbers below 1,000, positions [rows, 24] always 0 to 23, y a class.

Each row holds the words 1 and 2 once, among others: class 1 where 2 comes first. Only who attends to positions can tell.

    python3 make_data.py [--rows 4000] [--output FILE]
"""

import argparse
import pathlib

import numpy as np

WORDS, LENGTH = 1000, 24


def ordered_pairs(rows):
    random = np.random.default_rng(1)
    words = random.integers(3, 60, size=(rows, LENGTH))
    y = random.integers(0, 2, size=rows)
    for row in range(rows):
        first, second = sorted(random.choice(LENGTH, 2, replace=False))
        words[row, [first, second]] = (2, 1) if y[row] else (1, 2)
    return words, np.tile(np.arange(LENGTH), (rows, 1)), y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--output", default=pathlib.Path(__file__).with_name("data.npz"))
    arguments = parser.parse_args()
    words, positions, y = ordered_pairs(arguments.rows)
    np.savez(arguments.output, words=words, positions=positions, y=y)


if __name__ == "__main__":
    main()
