"""docs/openapi.yaml against the program: schemathesis draws requests from the file, right and wrong ones, and holds
every reply against it."""

import os
import pathlib
import subprocess
import sys

import pytest
import requests
import yaml

from rest_client import TOKEN, Worker
from support import SLOWNESS

HERE = pathlib.Path(__file__).parent
# The same requests each time; raise the number of examples to look further.
SEED = 20260301
EXAMPLES = int(os.environ.get("REST_EXAMPLES", "20"))

CONFIG = """
seed = {seed}
[generation]
max-examples = {examples}
deterministic = true
no-shrink = true
database = "none"
[phases.stateful]
enabled = false
[checks]
# 408: the version that a pull asks for may never come. 503: servers of several may not agree yet.
positive_data_acceptance.expected-statuses = ["2xx", "304", "404", "408", "409"]
negative_data_rejection.expected-statuses = ["400", "401", "404", "405", "408", "409", "415"]
# What a schema allows and this job does not have: a ninth epoch, an update of a task without updates, a commit that
# goes back.
[[operations]]
include-name = ["POST /v1/updates", "POST /v1/leases/{{lease}}/finish", "POST /v1/group/{{generation}}/steps", "POST /v1/group/{{generation}}/model"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "404", "408", "409"]
"""


def run(server, source_dir, tmp_path, *arguments, worker=None, examples=EXAMPLES):
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(seed=SEED, examples=examples))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", source_dir / "docs" / "openapi.yaml"),
        *("--url", server.url, "--request-timeout", str(20 * SLOWNESS), "--no-color"),
        *arguments,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "SCHEMATHESIS_HOOKS": "openapi_hooks",
        "REST_INCARNATION": str(worker.incarnation if worker else 1),
        "REST_WORKER": worker.name if worker else "nobody",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis"),
    }
    finished = subprocess.run(
        [str(part) for part in command],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240 * SLOWNESS,
    )
    assert finished.returncode == 0, finished.stdout[-6000:]
    assert server.alive(), server.process.output
    return finished.stdout


@pytest.fixture
def worker(server):
    worker = Worker(server)
    worker.initialise()
    return worker


AUTHORIZED = ("--header", f"Authorization: Bearer {TOKEN}")


def test_every_reply_is_the_one_that_the_file_describes(server, worker, source_dir, tmp_path):
    run(server, source_dir, tmp_path, *AUTHORIZED, "--exclude-path", "/v1/failure", worker=worker)
    assert server.get("/v1/status").json()["state"] != "Failed"


def test_a_failed_job_replies_as_the_file_describes(server, worker, source_dir, tmp_path):
    arguments = ("--include-path", "/v1/failure", "--include-path", "/v1/leases", "--include-path", "/v1/status")
    run(server, source_dir, tmp_path, *AUTHORIZED, *arguments, worker=worker, examples=5)


def test_before_a_layout_came_replies_are_as_the_file_describes(server, source_dir, tmp_path):
    run(server, source_dir, tmp_path, *AUTHORIZED, "--include-path-regex", "layout|parameters|updates|model|status", examples=5)


def test_without_the_token_there_is_only_a_401(server, worker, source_dir, tmp_path):
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    run(server, source_dir, tmp_path, "--phases", "examples,fuzzing", "--checks", checks, examples=5)
    parameters, version = worker.pull()
    assert version == 0
    document = yaml.safe_load((source_dir / "docs" / "openapi.yaml").read_text())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            expected = operation.get("security") != []
            concrete = path.replace("{worker}", "w").replace("{lease}", "1")
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
                reply = requests.request(method, server.url + concrete, headers=headers, timeout=30)
                assert (reply.status_code == 401) == expected, (method, path)


def test_every_route_is_in_the_file(server, source_dir):
    """The program's own table of routes, seen through its counters and its source, has nothing more."""
    document = yaml.safe_load((source_dir / "docs" / "openapi.yaml").read_text())
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    found = set()
    for source in (source_dir / "paramserver" / "rest").glob("*.cc"):
        text = source.read_text().replace("\n", " ")
        for method in ("GET", "PUT", "POST", "DELETE"):
            for part in text.split(f'Route{{"{method}",')[1:]:
                found.add((method, part.split('"')[1]))
    assert found == described
