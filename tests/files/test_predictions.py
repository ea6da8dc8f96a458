"""numpy opens the predictions, whichever processes wrote which rows in whatever order."""

import json
import zipfile

import numpy as np
import pytest


@pytest.mark.parametrize("shape", [(7,), (7, 1), (10, 3), (5, 2, 3, 4)])
def test_rows_of_several_processes(probe, tmp_path, shape):
    path = tmp_path / "out" / "predictions.npy"
    rows = list(range(shape[0]))
    for first in rows[1::2] + rows[::2] + rows[:1]:
        probe("rows", path, json.dumps(shape), first, 1)
        assert not path.exists()
    probe("rows", path, json.dumps(shape), 0, 0)
    array = np.load(path, allow_pickle=False)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    assert [file.name for file in path.parent.iterdir()] == ["predictions.npy"]


def test_npz_of_several_outputs(probe, tmp_path):
    arrays = {"digit": np.arange(6, dtype=np.float32).reshape(3, 2), "gender/é": np.zeros((3, 1), np.float32)}
    parts = []
    for i, (name, array) in enumerate(arrays.items()):
        np.save(tmp_path / f"{i}.npy", array)
        parts += [name, tmp_path / f"{i}.npy"]
    probe("npz", tmp_path / "p.npz", *parts)
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert list(file.keys()) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)
    with zipfile.ZipFile(tmp_path / "p.npz") as file:
        assert file.testzip() is None
    assert [file.name for file in tmp_path.iterdir()] == ["p.npz"]
