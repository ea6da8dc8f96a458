"""Python's own safetensors opens what we write, and we read what it writes."""

import struct

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

ARRAYS = {
    "dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.array(7, dtype=np.int64),
    "empty": np.zeros((0, 4), dtype=np.float32),
    "name \"with\" é": np.array([1.5], dtype=np.float16),
    **{
        str(np.dtype(kind)): np.arange(5).astype(kind)
        for kind in "float64 int32 int16 int8 uint64 uint32 uint16 uint8 bool".split()
    },
}


def test_round_trip(probe, tmp_path):
    save_file(ARRAYS, tmp_path / "in.safetensors", metadata={"format": "np", "who": "é"})
    probe("safetensors", tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    back = load_file(tmp_path / "out.safetensors")
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)
    with safe_open(tmp_path / "out.safetensors", "np") as file:
        assert file.metadata() == {"format": "np", "who": "é"}


@pytest.mark.parametrize("cut", [0, 4, 8, 20, -1])
def test_truncated(probe, tmp_path, cut):
    save_file(ARRAYS, tmp_path / "in.safetensors")
    text = (tmp_path / "in.safetensors").read_bytes()
    (tmp_path / "in.safetensors").write_bytes(text[:cut])
    with pytest.raises(probe.Refused, match="in.safetensors: .*truncated"):
        probe("safetensors", tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_lying_length(probe, tmp_path):
    (tmp_path / "in.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(probe.Refused, match="claims 1152921504606846976 bytes of a file of 10"):
        probe("safetensors", tmp_path / "in.safetensors", tmp_path / "out.safetensors")
