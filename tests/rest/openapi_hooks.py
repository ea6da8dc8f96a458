"""What a generated request cannot know: the names, numbers and bodies that belong to the running job.

Loaded by schemathesis in its own process (SCHEMATHESIS_HOOKS). Requests that are meant to be wrong stay as
generated, but nothing waits long.
"""

import json
import os
import random
import sys

import numpy
import schemathesis

sys.path[:0] = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
from rest_client import safetensors

INCARNATION = int(os.environ["REST_INCARNATION"])
WORKER = os.environ["REST_WORKER"]
LONGEST_WAIT = 0.02


def is_positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def entropy(case):
    """The same for the same generated case, so that runs repeat."""
    body = case.body if isinstance(case.body, (bytes, str)) else repr(case.body)
    return random.Random(repr((case.operation.label, body, sorted((case.query or {}).items(), key=str))))


def tensor_body(case):
    generator = entropy(case)
    values = numpy.array([generator.uniform(-1, 1) for _ in range(6)])
    if case.operation.path == "/v1/parameters":
        return safetensors({"parameters": values}, {"iterations": str(generator.randrange(10))})
    if case.operation.path.startswith("/v1/group/"):
        commit = {
            "incarnation": INCARNATION,
            "generation": int(case.path_parameters["generation"]),
            "worker": WORKER,
            "base": 0,
            "version": generator.randrange(1, 4),
        }
        return safetensors({"parameters": values}, {"commit": json.dumps(commit), "iterations": "1"})
    first = generator.randrange(3)
    update = {
        "incarnation": INCARNATION,
        "lease": generator.randrange(1, 9),
        "task": generator.choice(["train"] * 5 + ["validate", "finalize"]),
        "epoch": generator.randrange(3),
        "partition": generator.randrange(3),
        "batches": [0, 3] if generator.random() < 0.5 else [first, first + generator.randrange(3)],
        "base": generator.randrange(3),
        "examples": 10,
        "steps": 3,
        "metrics": [{"loss": {"kind": "mean", "values": [generator.random(), 10]}}],
    }
    return safetensors({"delta": values}, {"update": json.dumps(update)})


def consistent(layout):
    """Sizes and offsets that add up, which a schema cannot ask for."""
    weights = sorted(layout["weights"], key=lambda weight: not weight["trainable"])
    offset, trainable = 0, 0
    for number, weight in enumerate(weights):
        shape = [extent % 4 for extent in weight["shape"][:4]]
        size = int(numpy.prod(shape, dtype=int))
        weight.update(name=f"{weight['name']}-{number}", shape=shape, offset=offset, size=size)
        offset += size
        trainable += size if weight["trainable"] else 0
    layout.update(weights=weights, trainableElements=trainable, totalElements=offset)


def shorten(container):
    wait = container.get("wait") if isinstance(container, dict) else None
    try:
        if wait is not None and not isinstance(wait, bool) and LONGEST_WAIT < float(wait) <= 60:
            container["wait"] = type(wait)(LONGEST_WAIT) if isinstance(wait, str) else LONGEST_WAIT
    except (TypeError, ValueError):
        pass


# The bodies are checked by test_worker.py; here their status and headers.
@schemathesis.deserializer("application/octet-stream")
def tensors(context, response):
    return response.content.hex()


@schemathesis.hook
def before_call(context, case, kwargs):
    shorten(case.query)
    shorten(case.body)
    if not is_positive(case):
        return
    if case.media_type == "application/octet-stream":
        # Not every right body is what the job expects: half of an update's fields are dice.
        case.body = tensor_body(case)
    if case.operation.label == "PUT /v1/layout":
        consistent(case.body)
    if "Elephas-Incarnation" in (case.headers or {}) and entropy(case).random() < 0.8:
        case.headers["Elephas-Incarnation"] = str(INCARNATION)
    for container in (case.path_parameters, case.body):
        if isinstance(container, dict) and "worker" in container and entropy(case).random() < 0.8:
            container["worker"] = WORKER
