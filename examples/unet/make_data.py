#!/usr/bin/env python3
"""Writes data.npz: x [rows, 32, 32, 1], images of discs and rings in noise; y of the same shape, 1 where a disc is.

Discs and rings are equally bright, so that a pixel alone says nothing: its surroundings do. For images of your own:
x [rows, height, width, channels] with height and width a multiple of 4, as in make_model.py, and y with 0 and 1.

    python3 make_data.py [--rows 2000] [--output FILE]
"""

import argparse
import pathlib

import numpy as np


def shapes(rows):
    random = np.random.default_rng(1)
    down, right = np.mgrid[0:32, 0:32]
    images = random.normal(0, 0.3, size=(rows, 32, 32)).astype(np.float32)
    masks = np.zeros((rows, 32, 32), np.float32)
    for image, mask in zip(images, masks):
        for corner in range(4):  # one shape in each quarter, so that they do not touch
            middle = 8 + 16 * np.array(divmod(corner, 2)) + random.integers(-2, 3, size=2)
            from_middle = np.hypot(down - middle[0], right - middle[1])
            inside = from_middle <= 5
            if random.random() < 0.5:
                mask[inside] = 1
            else:
                inside &= from_middle >= 3.5
            image[inside] += 1
    return images[..., np.newaxis], masks[..., np.newaxis]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--output", default=pathlib.Path(__file__).with_name("data.npz"))
    arguments = parser.parse_args()
    images, masks = shapes(arguments.rows)
    np.savez(arguments.output, x=images, y=masks)


if __name__ == "__main__":
    main()
