"""Fixtures that all Python tests share: where the programs are, ports, and processes that end with the test.

ctest sets the environment (cmake/ElephasTest.cmake); by hand:

    ELEPHAS_BIN_DIR=build/bin ~/.cache/elephas/venv/bin/python -m pytest tests/integration
"""

import os
import pathlib
import re
import signal
import socket
import subprocess

# Before any test imports Keras.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest
from support import SLOWNESS, wait_until

SOURCE_DIR = pathlib.Path(__file__).resolve().parent.parent


class Process:
    """A program that a test started, in a process group of its own, its output in files."""

    def __init__(self, arguments, folder, name, env=None, cwd=None):
        self.arguments = [str(argument) for argument in arguments]
        self.stdout_path = folder / f"{name}.out"
        self.stderr_path = folder / f"{name}.err"
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.popen = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.popen.pid

    @property
    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    @property
    def output(self):
        return self.stdout + self.stderr

    def wait(self, timeout=60.0):
        """The exit status (negative: the signal that ended it); fails the test when it does not end in time."""
        try:
            return self.popen.wait(timeout * SLOWNESS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.arguments[0]} still runs after {timeout * SLOWNESS:g} s:\n{self.output}")

    def wait_for_output(self, pattern, timeout=30.0):
        """The match of a regular expression in stdout and stderr, as soon as it is there."""

        def find():
            match = re.search(pattern, self.output, re.MULTILINE)
            if not match and self.popen.poll() is not None:
                match = re.search(pattern, self.output, re.MULTILINE)
                if not match:
                    pytest.fail(f"{self.arguments[0]} ended without {pattern!r}:\n{self.output}")
            return match

        return wait_until(find, timeout, f"{pattern!r} in the output of {self.arguments[0]}")

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        """kill -9, this process alone."""
        self.popen.kill()
        self.popen.wait()

    def stop(self):
        """Ends the process and whatever it started. Gently first, so that it can write reports."""
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self.popen.pid, number)
            except ProcessLookupError:
                break
            try:
                self.popen.wait(patience * SLOWNESS)
            except subprocess.TimeoutExpired:
                continue
        self.popen.wait()


@pytest.fixture(scope="session")
def source_dir():
    return SOURCE_DIR


@pytest.fixture(scope="session")
def bin_dir():
    """The folder of the built programs."""
    folder = pathlib.Path(os.environ.get("ELEPHAS_BIN_DIR", SOURCE_DIR / "build" / "bin")).resolve()
    if not folder.is_dir():
        pytest.fail(f"{folder} is missing: run `make build` or set ELEPHAS_BIN_DIR")
    return folder


@pytest.fixture
def processes(tmp_path):
    """start(program, *arguments, env=…, cwd=…, name=…) -> Process; all are gone when the test ends."""
    started = []

    def start(*arguments, env=None, cwd=None, name=None):
        process = Process(arguments, tmp_path, name or f"process-{len(started)}", env, cwd)
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.stop()


@pytest.fixture
def free_port():
    """free_port() -> a TCP port of 127.0.0.1 that nothing listens on.

    Another process may take it before the test does: let programs listen on port 0 and say which port they
    got wherever they can.
    """

    def find():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find
