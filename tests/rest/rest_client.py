"""A client of the parameter server, and a worker written against docs/openapi.yaml alone."""

import json
import struct

import numpy
import requests

from support import SLOWNESS

TOKEN = "sesame-7f3a"
# Two weights; server 0 of one owns all 6 elements, 4 of them trainable.
LAYOUT = {
    "weights": [
        {"name": "dense/kernel", "shape": [2, 2], "trainable": True, "offset": 0, "size": 4},
        {"name": "bn/mean", "shape": [2], "trainable": False, "offset": 4, "size": 2},
    ],
    "trainableElements": 4,
    "totalElements": 6,
    "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1}},
    "slotNames": [],
    "examples": 20,
}
PARAMETERS = numpy.arange(6, dtype=numpy.float32)


def manifest(**spec):
    """A job of 20 rows in 2 partitions, batches of 4, 2 epochs; fields of spec can be replaced."""
    document = {
        "task": "train",
        "mode": "asynchronous",
        "frequency": "epoch",
        "model": {"uri": "model.json"},
        "compile": {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1}}, "loss": "mse"},
        "fit": {"epochs": 2, "batchSize": 4, "seed": 42},
        "data": {"uri": "data.csv", "labels": ["y"], "partitions": 2},
        "output": {"uri": "out"},
    }
    document.update(spec)
    return {
        "apiVersion": "elephas.dev/v1alpha1",
        "kind": "ElephasJob",
        "metadata": {"name": "tiny"},
        "spec": document,
    }


def safetensors(tensors, metadata):
    """Bytes of a safetensors file; tensors: name -> float32 array."""
    header, data = {"__metadata__": metadata}, b""
    for name, array in tensors.items():
        array = numpy.ascontiguousarray(array, dtype=numpy.float32)
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def parse_safetensors(body):
    (length,) = struct.unpack("<Q", body[:8])
    header = json.loads(body[8 : 8 + length])
    data = body[8 + length :]
    metadata = header.pop("__metadata__", {})
    tensors = {
        name: numpy.frombuffer(data[slice(*entry["data_offsets"])], dtype=numpy.float32).reshape(entry["shape"])
        for name, entry in header.items()
    }
    return tensors, metadata


class Server:
    """The running program; address and requests with the token."""

    def __init__(self, process, port):
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"

    def request(self, method, path, **options):
        options.setdefault("timeout", 30 * SLOWNESS)
        return self.session.request(method, self.url + path, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def alive(self):
        return self.process.popen.poll() is None and requests.get(self.url + "/healthz", timeout=10).ok


class Worker:
    """What a worker in another language would do."""

    def __init__(self, server, name="worker-0"):
        self.server = server
        self.name = name
        self.joined = self.call("POST", "/v1/workers", {"name": name})
        self.incarnation = self.joined["incarnation"]

    @property
    def headers(self):
        return {"Elephas-Incarnation": str(self.incarnation)}

    def call(self, method, path, body=None, status=200):
        headers = self.headers if hasattr(self, "incarnation") else {}
        reply = self.server.request(method, path, json=body, headers=headers)
        assert reply.status_code == status, reply.text
        return reply.json() if reply.content else None

    def initialise(self, layout=None, parameters=PARAMETERS):
        self.call("PUT", "/v1/layout", layout or LAYOUT)
        self.put_parameters(safetensors({"parameters": parameters}, {}))

    def put_parameters(self, body, status=204):
        reply = self.server.request(
            "PUT", "/v1/parameters", data=body, headers={**self.headers, "Content-Type": "application/octet-stream"}
        )
        assert reply.status_code == status, reply.text

    def lease(self, wait=0.0):
        return self.call("POST", "/v1/leases", {"worker": self.name, "wait": wait})

    def pull(self, **query):
        reply = self.server.get("/v1/parameters", params=query, headers=self.headers)
        assert reply.status_code == 200, reply.text
        tensors, metadata = parse_safetensors(reply.content)
        return tensors["parameters"], int(metadata["version"])

    def update(self, lease, base, loss=0.5):
        rows = lease["rows"][1] - lease["rows"][0]
        return {
            "incarnation": lease["incarnation"],
            "lease": lease["lease"],
            "task": lease["task"],
            "epoch": lease["epoch"],
            "partition": lease["partition"],
            "batches": lease["batches"],
            "base": base,
            "examples": rows,
            "steps": lease["batches"][1] - lease["batches"][0],
            "metrics": [{"loss": {"kind": "mean", "values": [loss * rows, rows]}}],
        }

    def push(self, update, delta, query="", status=200):
        body = safetensors({"delta": delta}, {"update": json.dumps(update)})
        reply = self.server.request(
            "POST", "/v1/updates" + query, data=body, headers={"Content-Type": "application/octet-stream"}
        )
        assert reply.status_code == status, reply.text
        return reply

    def finish(self, lease, outputs=()):
        body = {
            "task": lease["task"],
            "epoch": lease["epoch"],
            "partition": lease["partition"],
            "examples": 0,
            "metrics": {},
            "outputs": list(outputs),
        }
        return self.call("POST", f"/v1/leases/{lease['lease']}/finish", body)["outcome"]

    def train_one(self, delta):
        """Leases, pulls, pushes one task; the lease reply."""
        reply = self.lease(wait=10)
        if reply["state"] == "leased" and reply["lease"]["task"] == "train":
            _, version = self.pull()
            outcome = self.push(self.update(reply["lease"], version), delta).json()["outcome"]
            assert outcome == "applied"
        return reply
