#!/usr/bin/env python3
"""Makes digits.csv and digits-test.csv, the two data files of this folder.

    pip download --no-deps scikit-learn==1.9.1
    unzip -p scikit_learn-*.whl sklearn/datasets/data/digits.csv.gz > digits.csv.gz
    python3 make_data.py digits.csv.gz

The source has one digit per row without a header: 64 pixels, then the label. The split needs no random
numbers: rows are ordered by label (rows of one label stay in the source's order), and of that order every
fifth row, the first included, is held out for the test. So each label gives a fifth of its rows, and the
rows of every writer are spread over both files.

In the source the rows of one writer follow each other. Partitions and the validation split are contiguous, so
each would see a few writers only; the training rows are therefore interleaved: row i of the file is row
(i x 500) mod 1437 of the rows to train on (the two numbers have no common divisor).
"""

import csv
import gzip
import pathlib
import sys

PIXELS = 64
HOLD_OUT_EVERY = 5
EXPECTED_ROWS = 1797
STRIDE = 500


def read_rows(path):
    with gzip.open(path, "rt", newline="") as source:
        rows = [[int(cell) for cell in row] for row in csv.reader(source)]
    if len(rows) != EXPECTED_ROWS:
        sys.exit(f"{path}: {len(rows)} rows instead of {EXPECTED_ROWS}")
    for number, row in enumerate(rows, start=1):
        *pixels, label = row
        if len(pixels) != PIXELS or not all(0 <= pixel <= 16 for pixel in pixels) or not 0 <= label <= 9:
            sys.exit(f"{path}:{number}: not {PIXELS} pixels of 0..16 and a label of 0..9")
    return rows


def split(rows):
    by_label = sorted(range(len(rows)), key=lambda index: rows[index][PIXELS])
    held_out = set(by_label[::HOLD_OUT_EVERY])
    train = [row for index, row in enumerate(rows) if index not in held_out]
    test = [row for index, row in enumerate(rows) if index in held_out]
    return [train[index * STRIDE % len(train)] for index in range(len(train))], test


def write_rows(path, rows):
    with open(path, "w", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow([f"p{pixel}" for pixel in range(PIXELS)] + ["label"])
        writer.writerows(rows)
    print(f"{path}: {len(rows)} rows")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(__file__).parent
    train, test = split(read_rows(sys.argv[1]))
    write_rows(folder / "digits.csv", train)
    write_rows(folder / "digits-test.csv", test)


if __name__ == "__main__":
    main()
