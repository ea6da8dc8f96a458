"""Parameter servers on ports of their own."""

import json

import pytest

from rest_client import TOKEN, Server, manifest
from support import wait_until


@pytest.fixture
def start_server(processes, bin_dir, tmp_path):
    """start_server(manifest, *flags, port=0, wait=True) -> Server (or the Process with wait=False)."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    count = 0

    def start(document=None, *flags, port=0, wait=True, uid="u-1"):
        nonlocal count
        count += 1
        job = tmp_path / f"job-{count}.json"
        job.write_text(json.dumps(document or manifest()))
        port_file = tmp_path / f"port-{count}"
        process = processes(
            bin_dir / "elephas-paramserver",
            *("--job", job, "--uid", uid, "--base", tmp_path, "--address", "127.0.0.1"),
            *("--port", port, "--port-file", port_file, "--token-file", token_file),
            *flags,
            name=f"server-{count}",
        )
        if not wait:
            return process

        def listening():
            assert process.popen.poll() is None, process.output
            return port_file.exists()

        wait_until(listening, what="the server's port file")
        return Server(process, int(port_file.read_text()))

    return start


@pytest.fixture
def server(start_server):
    return start_server()
