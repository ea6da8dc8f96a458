"""The examples learn, and real Keras opens what they write.

Each example is trained by the command in its job.yaml on data that its own script makes without a download; a few fields
are overridden to keep it short. Then real Keras loads model.keras and judges it on the rows that were held out for
validation: what it predicts is what our own predict task says, and it is as good as only a working model is.
"""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

SOURCE_DIR = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = SOURCE_DIR / "examples"
HELD_OUT = 0.1  # validationSplit of every example


def accuracy(predictions, y, x):
    return (predictions.argmax(axis=-1) == y).mean()


def binary_accuracy(predictions, y, x):
    return ((predictions[:, 0] > 0.5) == y).mean()


def intersection_over_union(predictions, y, x):
    marked, truth = predictions > 0.5, y > 0.5
    return (marked & truth).sum() / (marked | truth).sum()


def explained(predictions, y, x):
    """The share of the pixels' variance that comes back: 0 for who always answers the mean picture."""
    return 1 - np.square(predictions - x).mean() / np.square(x.mean(axis=0) - x).mean()


@dataclasses.dataclass
class Example:
    name: str
    score: object  # of predictions, labels and features
    at_least: float  # chance is far below
    script: str = "make_data.py"
    data: str = "data.npz"
    arguments: tuple = ("--synthetic",)
    rows: int = 1000
    overrides: tuple = ()
    inputs: tuple = ("x",)


MNIST = {"script": "../make_mnist.py", "data": "../mnist.npz", "arguments": ("--digits",)}

TRAINED = [
    Example(
        "mnist-mlp",
        accuracy,
        0.75,
        rows=4000,
        overrides=("spec.fit.epochs=8", "spec.fit.batchSize=16", "spec.compile.optimizer.config.learning_rate=0.01"),
        **MNIST,
    ),
    Example("mnist-cnn", accuracy, 0.7, rows=1000, overrides=("spec.fit.epochs=5", "spec.fit.batchSize=32"), **MNIST),
    Example("autoencoder", explained, 0.4, rows=1000, overrides=("spec.fit.epochs=5",), **MNIST),
    Example("resnet", accuracy, 0.9, rows=500, overrides=("spec.fit.epochs=4", "spec.fit.batchSize=16")),
    Example("unet", intersection_over_union, 0.8, arguments=(), rows=400, overrides=("spec.fit.epochs=6",)),
    Example("lstm-text", binary_accuracy, 0.85, rows=1000),
    Example("transformer", accuracy, 0.9, arguments=(), rows=2000, inputs=("words", "positions")),
]


def elephas(bin_dir, manifest, *fields):
    command = [bin_dir / "elephas", "run", manifest, "--quiet"]
    for field in fields:
        command += ["--set", field]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("example", TRAINED, ids=lambda example: example.name)
def test_it_learns_and_keras_opens_it(bin_dir, tmp_path, example):
    folder = tmp_path / example.name
    shutil.copytree(EXAMPLES / example.name, folder, ignore=shutil.ignore_patterns("out", "ckpt", "data.npz"))
    made = [sys.executable, EXAMPLES / example.name / example.script, *example.arguments]
    subprocess.run([*made, "--rows", str(example.rows), "--output", folder / example.data], check=True)
    elephas(bin_dir, folder / "job.yaml", *example.overrides)

    history = json.loads((folder / "out" / "history.json").read_text())
    trained_on = example.rows - int(example.rows * HELD_OUT)
    assert history["examples"] == [trained_on] * len(history["loss"])
    assert history["loss"][-1] < history["loss"][0]

    rows = np.load(folder / example.data)
    held_out = {name: rows[name][trained_on:] for name in rows}
    np.savez(folder / "held_out.npz", **{name: held_out[name] for name in example.inputs})
    model = keras.models.load_model(folder / "out" / "model.keras")
    inputs = [held_out[name] for name in example.inputs]
    expected = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    assert example.score(expected, held_out["y"], inputs[0]) >= example.at_least

    (folder / "predict.yaml").write_text(
        json.dumps(
            {
                "apiVersion": "elephas.dev/v1alpha1",
                "kind": "ElephasJob",
                "metadata": {"name": "predict"},
                "spec": {
                    "task": "predict",
                    "model": {"uri": "out/model.keras"},
                    "data": {"uri": "held_out.npz", "features": {name: name for name in example.inputs}}
                    if len(inputs) > 1
                    else {"uri": "held_out.npz"},
                    "workers": {"replicas": 1},
                    "output": {"uri": "predicted"},
                },
            }
        )
    )
    elephas(bin_dir, folder / "predict.yaml")
    ours = np.load(folder / "predicted" / "predictions.npy")
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
