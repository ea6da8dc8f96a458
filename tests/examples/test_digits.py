"""examples/digits does what its README says."""

import csv
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

SOURCE_DIR = pathlib.Path(__file__).resolve().parents[2]
DIGITS = SOURCE_DIR / "examples" / "digits"


def rows(name):
    with open(DIGITS / name, newline="") as source:
        header, *values = csv.reader(source)
    return header, [tuple(int(cell) for cell in row) for row in values]


def test_the_digits_are_split_by_label():
    train_header, train = rows("digits.csv")
    test_header, test = rows("digits-test.csv")
    assert train_header == test_header == [f"p{pixel}" for pixel in range(64)] + ["label"]
    assert (len(train), len(test)) == (1437, 360)
    assert all(0 <= pixel <= 16 for row in train + test for pixel in row[:64])
    for label in range(10):
        of_label = [sum(row[64] == label for row in part) for part in (train, test)]
        assert abs(of_label[1] - sum(of_label) / 5) < 1, f"label {label}: {of_label}"
    assert not set(train) & set(test), "the test set holds rows of the training set"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, bin_dir):
    """A copy of examples/digits after its three jobs."""
    folder = tmp_path_factory.mktemp("examples") / "digits"
    shutil.copytree(DIGITS, folder, ignore=shutil.ignore_patterns("out"))
    for name in ("job.yaml", "evaluate.yaml", "predict.yaml"):
        done = subprocess.run(
            [bin_dir / "elephas", "run", folder / name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_training_reaches_the_accuracy_that_the_readme_promises(trained):
    metrics = json.loads((trained / "out" / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.95
    history = json.loads((trained / "out" / "history.json").read_text())
    assert history["examples"] == [1293] * 20  # the last tenth is for validation
    assert len(history["val_accuracy"]) == 20


def test_predictions_agree_with_the_evaluation(trained):
    predictions = np.load(trained / "out" / "predictions.npy")
    assert predictions.shape == (360, 10) and predictions.dtype == np.float32
    labels = np.array([row[64] for row in rows("digits-test.csv")[1]])
    accuracy = (predictions.argmax(axis=1) == labels).mean()
    metrics = json.loads((trained / "out" / "metrics.json").read_text())
    assert accuracy == pytest.approx(metrics["accuracy"], abs=1e-6)


def test_the_python_in_the_readme_opens_the_model(trained):
    code = re.search(r"```python\n(.*?)```", (DIGITS / "README.md").read_text(), re.DOTALL).group(1)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=trained, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((trained / "out" / "metrics.json").read_text())
    assert float(done.stdout.split()[-1]) == pytest.approx(metrics["accuracy"], abs=1e-6)
