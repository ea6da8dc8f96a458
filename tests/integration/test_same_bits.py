"""Synchronous training gives the same bits whoever computes what."""

import numpy as np
import pytest
from job import dense, manifest, sequential

FREQUENCIES = ["batch", "epoch", "fit"]


def classifier_job(folder, frequency, workers, servers=1, **fields):
    random = np.random.default_rng(7)
    x = random.normal(size=(203, 12)).astype(np.float32)
    y = (x[:, :3].sum(axis=1) > 0).astype(np.int64) + (x[:, 3] > 1)
    np.savez(folder / "data.npz", x=x, y=y)
    model = sequential(
        (12,),
        dense(16, "hidden", "relu"),
        {"class_name": "BatchNormalization", "config": {"name": "norm"}},
        {"class_name": "Dropout", "config": {"name": "drop", "rate": 0.25}},
        dense(3, "probabilities", "softmax"),
    )
    return manifest(
        folder,
        model,
        mode="synchronous",
        frequency=frequency,
        compile={"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        fit={"epochs": 4, "batchSize": 8, "seed": 11, "validationSplit": 0.1},
        data_partitions=6,
        workers_replicas=workers,
        parameterServers={"replicas": servers},
        **fields,
    )


def result_of(folder, run, *arguments, **job):
    folder.mkdir()
    run(classifier_job(folder, **job), "--quiet", *arguments)
    return (folder / "out" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_the_weights_are_the_same_bits_for_1_2_and_5_workers_and_2_servers(tmp_path, run, frequency):
    one = result_of(tmp_path / "one", run, frequency=frequency, workers=1)
    assert result_of(tmp_path / "two", run, frequency=frequency, workers=2) == one
    assert result_of(tmp_path / "five", run, frequency=frequency, workers=5) == one
    assert result_of(tmp_path / "servers", run, frequency=frequency, workers=2, servers=2) == one


def test_another_seed_gives_other_weights(tmp_path, run):
    first = result_of(tmp_path / "first", run, frequency="epoch", workers=1)
    other = result_of(
        tmp_path / "other", run, "--set", "spec.fit.seed=12", frequency="epoch", workers=1
    )
    assert first != other
