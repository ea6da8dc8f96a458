#!/usr/bin/env python3
"""Writes the seeds of the file parsers' fuzz targets into fuzz/corpus/; run by hand when a format grows."""

import io
import json
import pathlib
import zipfile

import numpy as np

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def npy(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def header(text, data=b"", version=1):
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode() + data


def archive(members, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, data in members.items():
            zipped.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


X = np.arange(6, dtype=np.float32).reshape(3, 2)
Y = np.arange(3)

write(
    "npy",
    {
        "float32": npy(X),
        "float16-fortran": npy(np.asfortranarray(X.astype("f2"))),
        "big-endian": npy(X.astype(">f8")),
        "int8-three-axes": npy(np.arange(12, dtype="i1").reshape(2, 3, 2)),
        "uint64": npy(np.array([1 << 63], dtype="u8")),
        "bool": npy(np.array([True, False])),
        "version2": npy(X, (2, 0)),
        "version3": npy(X, (3, 0)),
        "nan": npy(np.array([np.nan], dtype="f4")),
        "objects": npy(np.array([None])),
        "structured": npy(np.zeros(1, dtype=[("a", "f4")])),
        "no-rows-huge": header("{'descr': '<f4', 'fortran_order': True, 'shape': (0, 9223372036854775807), }"),
        "overflow": header("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"),
        "long-header": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{",
        "quotes": header("{\"descr\": \"<i2\", 'shape': (1L,), 'fortran_order': True}", b"ab"),
    },
)

PLAIN = archive({"x.npy": npy(X), "y.npy": npy(Y)})
BOMB = archive({"x.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 10), }", bytes(40000))})
write(
    "npz",
    {
        "deflated": PLAIN,
        "stored": archive({"x.npy": npy(X), "y.npy": npy(Y)}, zipfile.ZIP_STORED),
        "zeros": BOMB,
        "climbing": archive({"../../x.npy": npy(X), "x.npy": npy(X)}),
        "comment": PLAIN[:-2] + b"\x04\x00note",
        "lying-shape": archive({"x.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1073741824,), }")}),
        "empty": archive({}),
    },
)

# The first byte chooses the selection (csv_fuzz.cc).
write(
    "csv",
    {
        "plain": b"\x00a,b,label\n1,2,0\n3,4.5,1\n",
        "crlf-bom": b"\x00\xef\xbb\xbfa,label\r\n1,2\r\n3,4\r",
        "quotes": b"\x02\"a\",b,\"la\"\"x\",label\r\n\"1\",2,\"x\ny\",3\n",
        "map": b"\x03a,b,label\n1,2,3\n-1e-45,+4,5.5\n",
        "predict": b"\x80a,b,label\n1,2,\n",
        "both": b"\x04a,label\n1,2\n",
        "ragged": b"\x00a,label\n1,2,3\n",
        "empty-cell": b"\x00a,label\n,1\n",
        "open-quote": b"\x00a,label\n\"1,2\n",
        "numbers": b"\x00a,b,c,d,label\n1e39,nan,-inf,1234567.5,1\n",
        "latin1": b"\x00\xe9,label\n\xe9,1\n",
        "wide": b"\x00" + ",".join(f"c{i}" for i in range(300)).encode() + b",label\n",
        "tall": b"\x00a,label\n" + b"1,2\n" * 4000,
        "long-integer": b"\x00a,label\n1,9223372036854775808\n1,9223372036854775807\n",
    },
)

write(
    "libsvm",
    {
        "plain": b"\x001 1:0.5 3:-2\n-1 2:1\n",
        "comments": b"\x00# head\n+1.5 qid:3 1:1 # tail\r\n\n0\n",
        "width": b"\x041 1:1 5:1\n",
        "predict": b"\x801:1 2:2\nx 1:1\n",
        "huge-index": b"\x001 9223372036854775807:1\n",
        "descending": b"\x001 2:1 1:1\n",
        "zero": b"\x001 0:1\n",
        "entries": b"\x00" + b"1 1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1\n" * 400,
    },
)


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


write(
    "safetensors",
    {
        "two": json.dumps({"__metadata__": {"format": "np"}, "a": tensor("F32", [2], 0, 8), "b": tensor("I64", [], 8, 16)}),
        "padded": json.dumps({"a": tensor("U8", [0], 0, 0)}) + "   ",
        "names": json.dumps({"\u0000\ud83d\ude00": tensor("BF16", [1, 1], 0, 2), "": tensor("BOOL", [1], 2, 3)}),
        "overlap": json.dumps({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}),
        "overflow": json.dumps({"a": tensor("F32", [1 << 62, 4], 0, 0)}),
        "duplicate": '{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a":{}}',
        "deep": '{"a":' + "[" * 2000,
        "values": '{"a":[' + "0," * 1500 + "0]}",
    },
)


def call(*inputs):
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in inputs]
    return {"args": [tensors], "kwargs": {}}


def layer(name, *calls):
    return {"class_name": "Dense", "name": name, "config": {"name": name}, "inbound_nodes": list(calls)}


MODEL = {
    "class_name": "Functional",
    "config": {
        "name": "m",
        "layers": [layer("a"), layer("b", call("a")), layer("c", call("a", "b"))],
        "input_layers": [["a", 0, 0]],
        "output_layers": {"x": ["c", 0, 0], "y": ["b", 0, 0]},
    },
    "compile_config": {
        "optimizer": {"class_name": "SGD", "config": {"learning_rate": {"class_name": "CosineDecay", "config": {}}}},
        "loss": [{"class_name": "function", "config": "mse"}, None],
        "metrics": [[{"class_name": "MeanMetricWrapper", "config": {"fn": "mae", "name": "mae"}}]],
    },
}
OLD = {
    "class_name": "Model",
    "config": {
        "layers": [layer("a"), layer("b", [["a", 0, 0, {}], ["c", 1, 0]]), layer("c", [["b", 0, 0]])],
        "output_layers": [["c", 1, 0]],
    },
}
CONFIG = json.dumps(MODEL)


def nested(depth):
    """Models inside models."""
    config = MODEL
    for _ in range(depth):
        config = {"class_name": "Sequential", "config": {"name": "m", "layers": [config]}}
    return config


def claims(data, name, claimed):
    """The archive with another size of a member in its directory."""
    at = data.index(name, data.index(b"PK\x01\x02")) - 46
    return data[: at + 24] + claimed.to_bytes(4, "little") + data[at + 28 :]


# The first byte chooses archive (even) or JSON (odd).
write(
    "keras",
    {
        "json": "\x01" + CONFIG,
        "json-old-cycle": "\x01" + json.dumps(OLD),
        "json-deep": "\x01" + "[" * 300,
        "json-values": "\x01" + '{"config": [' + "[]," * 2000 + "0]}",
        "json-nested": "\x01" + json.dumps(nested(40)),
        "json-numbers": "\x01" + '{"class_name": "Sequential", "config": {"layers": [1e999, -0, 18446744073709551616]}}',
        "json-compile-of-another-kind": "\x01" + json.dumps({**MODEL, "compile_config": {"loss": {"a": [1]}, "metrics": 3}}),
        "archive-bomb": b"\x00" + archive({"config.json": '{"a": "' + "x" * 400000 + '"}', "model.weights.h5": ""}),
        "archive-lying": b"\x00"
        + claims(archive({"config.json": CONFIG, "model.weights.h5": ""}, 0), b"config.json", (1 << 32) - 2),
        "archive-truncated": b"\x00" + archive({"config.json": CONFIG, "model.weights.h5": "no"})[:-30],
        "archive": b"\x00" + archive({"config.json": CONFIG, "metadata.json": "{}", "model.weights.h5": "no"}, 0),
        "archive-climbing": b"\x00" + archive({"config.json": "{}", "../x": ""}, 0),
        "archive-npz": b"\x00" + archive({"config.json": "{}", "model.weights.npz": ""}),
    },
)
