"""Runs one job and carries out its kills."""

import http.client
import os
import pathlib
import re
import signal
import time

from conftest import Process
from job import events
from plan import BIRTH, CHECKPOINT, OUTPUT, SUPERVISOR
from support import SLOWNESS

_LOOK_SECONDS = 0.003
# Of a job without kills, and more for each: a process that was killed often is started after pauses of up to 10 s.
_JOB_SECONDS = 120
_KILL_SECONDS = 20
_PROGRESS = re.compile(rb"^elephas_paramserver_progress_ratio\S* (\S+)", re.MULTILINE)


class OutOfTime(Exception):
    """The job did not come to its end."""


class Run:
    """`elephas run` of a manifest in a folder, started anew with --resume when it was killed itself."""

    def __init__(self, elephas, manifest, environment=None):
        self.folder = manifest.parent
        self._command = [elephas, "run", manifest, "--json", "--lease-seconds", 3 * SLOWNESS]
        self._environment = environment
        self._starts = []
        self.start()

    def start(self):
        number = len(self._starts)
        more = ["--resume"] if number else []
        self.run_folder = self.folder / f"run-{number}"
        self._starts.append(Process([*self._command, "--run-dir", self.run_folder, *more], self.folder, f"elephas-{number}",
                                    self._environment, self.folder))

    @property
    def process(self):
        return self._starts[-1]

    @property
    def over(self):
        return self.process.popen.poll() is not None

    @property
    def status(self):
        return self.process.popen.returncode

    @property
    def output(self):
        return "".join(start.output for start in self._starts)

    def restarts(self):
        """What `elephas run` told of processes that it started again."""
        return [event for start in self._starts for event in whole_events(start.stdout) if event["event"] == "restarted"]

    def family(self):
        """{name of a process of the job: its process id}; the supervisor is none of them."""
        return family(self.process.pid)

    def progress(self):
        """The share of the work that is in the ledger; None while server 0 does not say."""
        try:
            port = int((self.run_folder / "paramserver-0.port").read_text())
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/metrics")
                match = _PROGRESS.search(connection.getresponse().read())
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException):
            return None  # it was killed, or is not there again yet
        return float(match[1]) if match else None

    def keep_evidence(self):
        """What a run that goes on for ever says of itself, beside its logs."""
        for path in ("/metrics", "/v1/status"):
            try:
                port = int((self.run_folder / "paramserver-0.port").read_text())
                token = (self.run_folder / "token").read_text()
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
                body = connection.getresponse().read()
            except (OSError, ValueError, http.client.HTTPException) as error:
                body = repr(error).encode()
            (self.run_folder / f"{os.path.basename(path)}.txt").write_bytes(body)
        (self.run_folder / "family.txt").write_text(repr(self.family()))

    def stop(self):
        for start in self._starts:
            start.stop()


def whole_events(text):
    """A supervisor that was killed may have left half a line."""
    return events(text[:text.rfind("\n") + 1])


def family(parent):
    """{name: process id} of the servers and workers among a process' children."""
    found = {}
    for pid in children(parent):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue  # it ended meanwhile
        program = os.path.basename(words[0])
        if stat.rsplit(")", 1)[1].split()[0] == "Z":
            continue
        if program == "elephas-worker" and "--name" in words:
            found[words[words.index("--name") + 1]] = pid
        elif program == "elephas-paramserver" and "--index" in words:
            found[f"paramserver-{words[words.index('--index') + 1]}"] = pid
    return found


def children(parent):
    pids = []
    for thread in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
        try:
            pids += map(int, thread.read_text().split())
        except OSError:
            continue  # the thread ended meanwhile
    return pids


def kill_9(pid, parent):
    """Whether a process was killed: the one of that id that is a child of `parent`, and no other that has its id since."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if pid not in family(parent).values():
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


class Killer:
    """Carries out the kills of a plan, one after another, while the job runs."""

    def __init__(self, plan, run):
        self._plan, self._run = plan, run
        self._deadline = time.monotonic() + (_JOB_SECONDS + _KILL_SECONDS * len(plan.kills)) * SLOWNESS
        self._last_pid = {}  # of a name, when it was killed
        self.killed = []  # names
        self.missed = []  # Kills whose moment did not come before the job's end

    def run_to_the_end(self):
        for kill in self._plan.kills:
            if not self._carry_out(kill):
                self.missed.append(kill)
        self._wait(lambda: self._run.over, "the job's end")

    def _carry_out(self, kill):
        if self._has_come(kill) is None:
            return False
        if kill.victims == (SUPERVISOR,):
            return self._kill_supervisor()
        killed = [name for name in kill.victims if self._kill(name)]
        return bool(killed)

    def _has_come(self, kill):
        """True once the kill's moment is there; None when the job ended before."""
        first = kill.victims[0]
        if kill.when == OUTPUT:
            return self._wait(lambda: self._writes_results() and self._alive(first), f"the moment of '{kill}'")
        if kill.when == BIRTH:
            killed = self._last_pid.get(first)
            return self._wait(lambda: self._run.family().get(first, killed) != killed, f"the moment of '{kill}'")
        come = self._wait(lambda: self._reached(kill.at) and self._alive(first), f"the moment of '{kill}'")
        if come and kill.when == CHECKPOINT:
            seen = self._checkpoints()
            come = self._wait(lambda: self._checkpoints() != seen and self._alive(first), f"the moment of '{kill}'")
        return come

    def _wait(self, condition, what):
        while True:
            if condition():
                return True
            if self._run.over:
                return None
            if time.monotonic() > self._deadline:
                raise OutOfTime(what)
            time.sleep(_LOOK_SECONDS)

    def _reached(self, share):
        progress = self._run.progress()
        return progress is not None and progress >= share

    def _alive(self, name):
        return name == SUPERVISOR or name in self._run.family()

    def _checkpoints(self):
        return {path for path in (self._run.folder / "ckpt").rglob("*")}

    def _writes_results(self):
        if self._plan.task == "predict":  # its file is there from the start
            return self._reached(1.0)
        out = self._run.folder / "out"
        return out.is_dir() and any(out.iterdir())

    def _kill(self, name):
        pid = self._run.family().get(name)
        if pid is None or not kill_9(pid, self._run.process.pid):
            return False
        self._last_pid[name] = pid
        self.killed.append(name)
        return True

    def _kill_supervisor(self):
        """Everything of the run dies with it; then a person goes on with it."""
        if not any((self._run.folder / "ckpt").rglob("*.safetensors")):
            return False
        family = list(self._run.family().values())
        self._run.process.kill()
        while any(_runs(pid) for pid in family):
            if time.monotonic() > self._deadline:
                raise OutOfTime("the end of a killed run's processes")
            time.sleep(_LOOK_SECONDS)
        self.killed.append(SUPERVISOR)
        self._run.start()
        return True


def _runs(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
