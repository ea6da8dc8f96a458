"""A job whose programs are fakes (fake_programs/): the test says what they do."""

import json
import os
import pathlib
import sys

from support import wait_until

FAKE_PROGRAMS = pathlib.Path(__file__).resolve().parent / "fake_programs"

MANIFEST = """apiVersion: elephas.dev/v1alpha1
kind: ElephasJob
metadata: {name: faked}
spec:
  model: {uri: model.keras}
  data: {uri: data.npz}
  output: {uri: out}
"""


def alive(pid):
    """Does the process run? A zombie does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Job:
    """A job folder whose programs are fakes: the test says what they do."""

    def __init__(self, folder, start):
        self.folder = folder
        self.start = start
        self.path = folder / "job.yaml"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.path.write_text(MANIFEST)
        for name in ("model.keras", "data.npz"):
            (folder / name).write_text("x")
        self.status(state="Initializing")

    def status(self, **fields):
        base = {"job": "faked", "task": "train", "state": "Running", "epochs": 3, "epoch": 0, "history": {}}
        temporary = self.folder / "status.new"
        temporary.write_text(json.dumps(base | fields))
        temporary.rename(self.folder / "status.json")

    def epochs(self, count, **fields):
        history = {"loss": [1 / (i + 1) for i in range(count)], "examples": [100] * count, "seconds": [0.5] * count}
        self.status(epoch=count, history=history, **fields)

    def run(self, *settings, arguments=(), env=None):
        """elephas run with fake programs; a setting is PATH=VALUE."""
        for setting in settings:
            arguments = (*arguments, "--set", setting)
        return self.start("run", self.path, *arguments, env=self.environment(env))

    def environment(self, more=None):
        # The fakes' `python3` is the one that runs this test.
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        fakes = {"ELEPHAS_BIN_DIR": str(FAKE_PROGRAMS), "TMPDIR": str(self.temporary), "PATH": path}
        return {**fakes, **(more or {})}

    def pid(self, name, other_than=None):
        """The process id of a program that is up; `other_than`: of the one that came after that."""

        def find():
            try:
                pid = int((self.folder / f"{name}.pid").read_text())
            except FileNotFoundError:
                return None
            return pid if pid != other_than and alive(pid) else None

        return wait_until(find, what=f"{name} to be up")

    def starts(self, name):
        path = self.folder / f"{name}.starts"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def order_exit(self, name, code):
        temporary = self.folder / f"{name}.exit.new"
        temporary.write_text(str(code))
        temporary.rename(self.folder / f"{name}.exit")

    def pids(self):
        """Of all programs that were ever the latest of their name."""
        return [int(path.read_text()) for path in self.folder.glob("*.pid")]

    def expect_nothing_runs(self):
        wait_until(lambda: not any(alive(pid) for pid in self.pids()), what="every process to end")
