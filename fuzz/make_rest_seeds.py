#!/usr/bin/env python3
"""Writes the seeds of rest_fuzz.cc into fuzz/corpus/rest; run by hand when the interface grows."""

import json
import pathlib
import struct

FOLDER = pathlib.Path(__file__).resolve().parent / "corpus" / "rest"


def tensors(metadata, **vectors):
    """Bytes of a safetensors file of float32 tensors, shapes as given."""
    header, data = {"__metadata__": metadata}, b""
    for name, (shape, values) in vectors.items():
        start = len(data)
        data += struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def request(line, body=b""):
    return line.encode() + b"\n" + (body if isinstance(body, bytes) else json.dumps(body).encode())


METRICS = {"loss": {"kind": "mean", "values": [1.5, "NaN"]}}
UPDATE = {
    "incarnation": 3,
    "lease": 1,
    "task": "train",
    "epoch": 0,
    "partition": 2,
    "batches": [0, 4],
    "base": 7,
    "examples": 256,
    "steps": 4,
    "metrics": [METRICS],
}
DELTA = ([6], [1, 2, 3, 4, 5, 6])
SLOTS = ([1, 4], [1, 2, 3, 4])
LAYOUT = {
    "weights": [
        {"name": "dense/kernel", "shape": [2, 2], "trainable": True, "offset": 0, "size": 4},
        {"name": "bn/mean", "shape": [2], "trainable": False, "offset": 4, "size": 2},
    ],
    "trainableElements": 4,
    "totalElements": 6,
    "optimizer": None,
    "slotNames": ["momentum"],
    "examples": 100,
}
TASK = {"task": "validate", "epoch": 0, "partition": 1, "examples": 9, "metrics": METRICS, "outputs": ["a"]}

SEEDS = {
    "update": request("POST /v1/updates", tensors({"update": json.dumps(UPDATE)}, delta=DELTA)),
    "update-slots": request(
        "POST /v1/updates?return=parameters&minVersion=8&slots=true",
        tensors({"update": json.dumps(UPDATE)}, delta=DELTA, slots=SLOTS),
    ),
    "update-too-short": request("POST /v1/updates", tensors({"update": json.dumps(UPDATE)}, delta=([5], [0] * 5))),
    "parameters": request("PUT /v1/parameters", tensors({"iterations": "3"}, parameters=DELTA, slots=SLOTS)),
    "pull": request("GET /v1/parameters?minVersion=7&wait=0&slots=true"),
    "layout": request("PUT /v1/layout", LAYOUT),
    "layout-deep": request("PUT /v1/layout", b'{"weights": ' + b"[" * 200),
    "layout-values": request("PUT /v1/layout", b'{"weights": [' + b"[]," * 2000 + b"0]}"),
    "join": request("POST /v1/workers", {"name": "worker-0"}),
    "heartbeat": request("PUT /v1/workers/worker-0/heartbeat"),
    "leave": request("DELETE /v1/workers/worker%2D0"),
    "failure": request("POST /v1/failure", {"worker": "w", "reason": "BadData", "message": "m"}),
    "lease": request("POST /v1/leases", {"worker": "w", "wait": 0.5, "prefetch": True}),
    "finish": request("POST /v1/leases/12/finish", TASK),
    "peer": request("POST /v1/peers", {"index": 1, "boot": "b", "url": "http://x:1", "incarnation": 0, "cuts": [1]}),
    "status": request("GET /v1/status?x=1"),
    "model": request("GET http://x/v1/model.safetensors"),
}

FOLDER.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (FOLDER / name).write_bytes(data)
