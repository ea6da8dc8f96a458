"""numpy and csv write, the worker's readers read the same numbers."""

import csv
import json
import struct
import zipfile

import numpy as np
import pytest
from safetensors import safe_open

DTYPES = "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 ?".split()


@pytest.fixture
def load(probe, tmp_path):
    def run(path, **options):
        out = tmp_path / "dump.safetensors"
        probe("dataset", path, json.dumps(options), out)
        with safe_open(out, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}
            return arrays, file.metadata()

    return run


def expected(array):
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def check(actual, array):
    assert actual.dtype == expected(array).dtype
    np.testing.assert_array_equal(actual, expected(array))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_npy_dtypes_and_orders(load, tmp_path, dtype, endian, order):
    random = np.random.default_rng(1)
    values = random.normal(size=(37, 5, 3)) * 50
    array = (abs(values) if dtype.startswith("u") else values).astype(np.dtype(dtype).newbyteorder(endian))
    np.save(tmp_path / "a.npy", np.asarray(array, order=order))
    arrays, _ = load(tmp_path / "a.npy", predict=True)
    check(arrays["features.0.x"], array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_versions(load, tmp_path, version):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array(file, array, version=version)
    arrays, metadata = load(tmp_path / "a.npy", predict=True)
    check(arrays["features.0.x"], array)
    assert metadata["last_row"] == "a.npy, row 2"


@pytest.mark.parametrize(
    "array, message",
    [
        (np.array([{"a": 1}], dtype=object), r"a.npy: dtype '\|O' is not supported"),
        (np.array([1j]), "dtype '<c16' is not supported"),
        (np.array(["text"]), "dtype '<U4' is not supported"),
        (np.zeros(1, dtype=[("a", "<f4"), ("b", "<i2")]), r"structured dtype \[\('a', '<f4'\), \('b', '<i2'\)\]"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "dtype '<M8"),
        (np.array(1.0), "a single number"),
        (np.zeros((0, 3)), "holds no rows"),
        (np.array([[1, 2], [3, np.nan]]), "a.npy: row 1, element 1: NaN"),
        (np.array([1e39]), "row 0: infinity, or too large for float32"),
    ],
)
def test_npy_refused(probe, load, tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(probe.Refused, match=message):
        load(tmp_path / "a.npy", predict=True)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(load, tmp_path, save):
    random = np.random.default_rng(2)
    arrays = {
        "x": random.normal(size=(100, 8, 8)),
        "y": random.integers(0, 10, 100).astype(np.uint8),
        "other": np.asarray(random.normal(size=(100, 3)), order="F"),
    }
    save(tmp_path / "a.npz", **arrays)
    read, metadata = load(tmp_path / "a.npz")
    check(read["features.0.x"], arrays["x"])
    check(read["labels.0.y"], arrays["y"])
    assert json.loads(metadata["feature_keys"]) == []

    read, metadata = load(tmp_path / "a.npz", features={"left": "other", "right": "x"}, labels=["y", "other"])
    check(read["features.0.other"], arrays["other"])
    check(read["features.1.x"], arrays["x"])
    check(read["labels.1.other"], arrays["other"])
    assert json.loads(metadata["feature_keys"]) == ["left", "right"]


def test_an_npz_bomb_is_refused_before_it_is_unpacked(probe, load, tmp_path):
    # A header that promises a petabyte over a member of four bytes of data.
    np.save(tmp_path / "x.npy", np.zeros(1, dtype=np.float32))
    shape = b"(281474976710656,), }"
    lie = (tmp_path / "x.npy").read_bytes().replace(b"(1,), }".ljust(len(shape)), shape)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", lie)
    with pytest.raises(probe.Refused, match="its shape needs 1125899906842624 bytes of data, the archive has 4"):
        load(tmp_path / "a.npz", predict=True)

    # The same with an archive that backs the lie in its own sizes.
    text = (tmp_path / "a.npz").read_bytes()
    size = struct.pack("<I", 1 << 31)
    central = text.index(b"PK\x01\x02")
    text = text[: central + 24] + size + text[central + 28 :]
    elements = ((1 << 31) - 128) // 4
    text = text.replace(shape, b"(%d,), }" % elements + b" " * (len(shape) - len(b"(%d,), }" % elements)))
    (tmp_path / "a.npz").write_bytes(text)
    with pytest.raises(probe.Refused, match="a.npz: "):
        load(tmp_path / "a.npz", predict=True)


def test_an_encrypted_member_is_refused(probe, load, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((1, 1), dtype=np.float32))
    text = bytearray((tmp_path / "a.npz").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        text[text.index(signature) + offset] |= 1
    (tmp_path / "a.npz").write_bytes(text)
    with pytest.raises(probe.Refused, match="array 'x'"):
        load(tmp_path / "a.npz", predict=True)


def test_two_members_of_one_name(probe, load, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file, pytest.warns(UserWarning):
        for value in range(2):
            with file.open("x.npy", "w") as member:
                np.lib.format.write_array(member, np.full((1, 1), value))
    with pytest.raises(probe.Refused, match="two members are named 'x.npy'"):
        load(tmp_path / "a.npz", predict=True)


def test_csv_numbers_are_those_of_numpy(load, tmp_path):
    random = np.random.default_rng(3)
    bits = random.integers(0, 1 << 32, size=(500, 6), dtype=np.uint32)
    values = bits.view(np.float32)
    values[~np.isfinite(values)] = 0.1
    labels = random.integers(-(2**62), 2**62, 500)
    with open(tmp_path / "a.csv", "w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["a", "b", "c, d", "label", 'quo"ted', "line\nbreak", "f"])
        for row, label in zip(values, labels):
            cells = [np.format_float_scientific(v) if i % 2 else np.format_float_positional(v) for i, v in enumerate(row)]
            writer.writerow(cells[:3] + [int(label)] + cells[3:])
    arrays, metadata = load(tmp_path / "a.csv", labels=["label"])
    np.testing.assert_array_equal(arrays["features.0.features"].view(np.uint32), values.view(np.uint32))
    check(arrays["labels.0.label"], labels)
    # The header takes two lines.
    assert metadata["last_row"] == "a.csv:502"


def test_libsvm(load, tmp_path):
    random = np.random.default_rng(4)
    dense = random.normal(size=(50, 20)).astype(np.float32) * (random.random((50, 20)) < 0.2)
    with open(tmp_path / "a.libsvm", "w") as file:
        for i, row in enumerate(dense):
            cells = " ".join(f"{j + 1}:{value!s}" for j, value in enumerate(row) if value)
            file.write(f"{i % 3} {cells}\n")
    arrays, _ = load(tmp_path / "a.libsvm", width=25)
    np.testing.assert_array_equal(arrays["features.0.features"][:, :20], dense.astype(np.float32))
    assert arrays["features.0.features"].shape == (50, 25)
    check(arrays["labels.0.label"], np.arange(50) % 3)
