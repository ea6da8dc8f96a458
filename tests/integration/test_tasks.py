"""evaluate and predict: results in closed form, in input order, whatever the partitioning."""

import json

import numpy as np
import pytest
from job import dense, history, manifest, sequential
from safetensors.numpy import load_file, save_file

MODEL = sequential((3,), dense(2, "linear"))
KERNEL = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
BIAS = np.array([0.5, -0.5], dtype=np.float32)


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(1)
    x = random.integers(-4, 5, size=(57, 3)).astype(np.float32)
    y = random.integers(-4, 5, size=(57, 2)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    np.save(tmp_path / "features.npy", x)
    save_file({"linear/kernel": KERNEL, "linear/bias": BIAS}, tmp_path / "start.safetensors")
    return x, y


@pytest.mark.parametrize("partitions,workers", [(1, 1), (7, 2), (60, 5)])
def test_evaluate_gives_the_metrics_of_the_whole_dataset(tmp_path, run, data, partitions, workers):
    x, y = data
    path = manifest(
        tmp_path,
        MODEL,
        task="evaluate",
        model_weights={"uri": "start.safetensors"},
        compile={"loss": "mse", "metrics": ["mae"]},
        fit={"batchSize": 8},
        data_partitions=partitions,
        workers_replicas=workers,
    )
    run(path, "--quiet")
    error = x @ KERNEL + BIAS - y
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics.keys() == {"loss", "mae"}
    assert metrics["loss"] == pytest.approx(np.mean(error**2), rel=1e-6)
    assert metrics["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-6)


@pytest.mark.parametrize("partitions,workers", [(1, 1), (7, 2), (60, 5)])
@pytest.mark.parametrize("file", ["features.npy", "data.npz"])
def test_predict_writes_rows_in_input_order(tmp_path, run, data, partitions, workers, file):
    x, _ = data
    path = manifest(
        tmp_path,
        MODEL,
        task="predict",
        model_weights={"uri": "start.safetensors"},
        fit={"batchSize": 8},
        data={"uri": file, "partitions": partitions},
        workers_replicas=workers,
    )
    run(path, "--quiet")
    predictions = np.load(tmp_path / "out" / "predictions.npy")
    assert predictions.dtype == np.float32
    np.testing.assert_array_equal(predictions, x @ KERNEL + BIAS)
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["predictions.npy"]


def test_validation_is_the_model_at_each_epochs_end(tmp_path, run, data):
    x, y = data
    path = manifest(
        tmp_path,
        MODEL,
        mode="synchronous",
        compile={"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.01}}, "loss": "mse"},
        fit={"epochs": 3, "batchSize": 8, "validationSplit": 0.2, "seed": 1},
        workers_replicas=2,
    )
    run(path, "--quiet")
    lists = history(tmp_path)
    training = int(57 * (1 - 0.2))
    assert lists["examples"] == [training] * 3
    assert len(lists["val_loss"]) == len(lists["loss"]) == len(lists["seconds"]) == 3
    weights = load_file(tmp_path / "out" / "model.safetensors")
    error = x[training:] @ weights["linear/kernel"] + weights["linear/bias"] - y[training:]
    assert lists["val_loss"][-1] == pytest.approx(np.mean(error**2), rel=1e-6)


@pytest.mark.parametrize("extension", ["csv", "libsvm"])
def test_text_files_train_as_arrays_do(tmp_path, run, data, extension):
    x, y = data
    label = y[:, :1].astype(int)
    if extension == "csv":
        lines = ["a,target,b,c"] + [f"{r[0]},{t[0]},{r[1]},{r[2]}" for r, t in zip(x, label)]
        labels = {"labels": ["target"]}
    else:
        lines = [
            f"{t[0]} " + " ".join(f"{i + 1}:{v}" for i, v in enumerate(r) if v) for r, t in zip(x, label)
        ]
        labels = {}
    (tmp_path / f"data.{extension}").write_text("\n".join(lines) + "\n")
    np.savez(tmp_path / "data.npz", x=x, y=label)
    results = []
    for name, extra in (("data.npz", {}), (f"data.{extension}", labels)):
        path = manifest(
            tmp_path,
            sequential((3,), dense(1, "linear")),
            mode="synchronous",
            compile={"optimizer": "sgd", "loss": "mse"},
            fit={"epochs": 2, "seed": 1},
            data={"uri": name, "partitions": 2, **extra},
        )
        run(path, "--quiet")
        results.append((tmp_path / "out" / "model.safetensors").read_bytes())
    assert results[0] == results[1]
