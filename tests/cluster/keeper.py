"""The process on the machine that a cluster belongs to: python -m cluster.keeper NAME [LIFELINE_DESCRIPTOR].

It holds the cluster's lock, starts the cluster's process 1 in namespaces of its own, prints one line of JSON to
standard output when the cluster is ready or could not be started, and removes every trace of the cluster when it
is told to end (SIGTERM), when the lifeline closes (a pipe whose other end a test holds), or when process 1 ends.
Should it be killed itself, the kernel ends process 1; the next keeper of any name removes the rest.
"""

import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

from cluster import certificates, daemons, pause_image
from cluster.layout import SOURCE_DIR, Layout, root

_PR_SET_PDEATHSIG = 1
_END_SECONDS = 30


class Busy(Exception):
    """The lock is another keeper's."""


def take_lock(layout):
    """An open file that is the lock for as long as it is open."""
    while True:
        layout.lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = open(layout.lock, "a")
        except FileNotFoundError:
            continue  # the last cluster's keeper has just removed the folder
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise Busy from None
        try:
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(layout.lock)):
                return lock
        except FileNotFoundError:
            pass
        lock.close()  # its former holder has just removed it


def remove_remains(layout):
    """Everything of a cluster whose process 1 has ended, the lock included. The caller holds the lock."""
    for folder in daemons.cgroup_folders(layout):
        _remove_cgroup(folder)
    made = layout.state / "made"
    folders = made.read_text().splitlines() if made.exists() else []
    if layout.state.exists():
        shutil.rmtree(layout.state)
    for folder in reversed(folders):
        try:
            os.rmdir(folder)
        except OSError:
            pass  # another cluster or program has put something there meanwhile
    layout.lock.unlink(missing_ok=True)
    try:
        root().rmdir()
    except OSError:
        pass  # other clusters


def sweep():
    """Removes what clusters left whose keepers were killed."""
    if not root().exists():
        return
    for state in list(root().iterdir()):
        if not state.is_dir():
            continue
        layout = Layout(state.name)
        try:
            lock = take_lock(layout)
        except Busy:
            continue
        with lock:
            remove_remains(layout)


def _remove_cgroup(folder):
    """Once the last process in it has gone, which may be a moment after process 1."""
    deadline = time.monotonic() + _END_SECONDS
    while True:
        for path, _, _ in os.walk(folder, topdown=False):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                pass
            except OSError:
                if time.monotonic() > deadline:
                    raise
        if not folder.exists():
            return
        time.sleep(0.02)


# --- one cluster --------------------------------------------------------------------------------------


def _prepare(layout, relay_port):
    layout.state.mkdir(mode=0o755)
    made = []
    for covered in layout.covered:
        for folder in reversed([covered, *covered.parents]):
            if not folder.exists():
                folder.mkdir()
                made.append(str(folder))
    (layout.state / "made").write_text("\n".join(made))
    layout.volumes.mkdir()
    # The controller manager makes volumes' folders.
    os.chown(layout.volumes, daemons.VOLUME_USER, daemons.VOLUME_USER)
    certificates.make(layout.certificates)
    daemons.write_config(layout, relay_port)
    pause_image.write(layout.pause_archive)
    for folder in daemons.cgroup_folders(layout):
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # of cgroup v1, where a new folder has none
            if (folder / name).exists() and not (folder / name).read_text().strip():
                (folder / name).write_text((folder.parent / name).read_text())


def _spawn_machine(layout, relay_socket):
    libc = ctypes.CDLL(None, use_errno=True)

    def end_with_parent():
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    with open(layout.machine_log, "ab") as log:
        return subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private", "--", sys.executable, "-m", "cluster.machine", layout.name,
             str(relay_socket.fileno())],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[relay_socket.fileno()],
            preexec_fn=end_with_parent, start_new_session=True, cwd="/",
            env={**os.environ, "PYTHONPATH": str(SOURCE_DIR / "tests"), "PYTHONDONTWRITEBYTECODE": "1"})


def _process_one(unshare):
    """Its process id on the machine."""
    path = f"/proc/{unshare.pid}/task/{unshare.pid}/children"
    while unshare.poll() is None:
        with open(path) as children:
            pids = children.read().split()
        if pids:
            return int(pids[0])
        time.sleep(0.005)
    return None


def _await_end(layout, unshare, wake, lifeline, report):
    """Returns once the cluster is to end. report(dict) is called once before, when the cluster is ready."""
    reported = False
    process = os.pidfd_open(unshare.pid)
    watched = [process, wake] + ([lifeline] if lifeline is not None else [])
    while True:
        happened, _, _ = select.select(watched, [], [], None if reported else 0.05)
        if happened:
            return
        if layout.ready.exists():
            reported = True
            report({"ready": True})


def _keep(layout, lifeline, report):
    wake, waker = os.pipe()
    for end in (wake, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)

    unshare = None
    try:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as relay:
            port = relay.getsockname()[1]
            _prepare(layout, port)
            unshare = _spawn_machine(layout, relay)
        layout.facts.write_text(json.dumps({
            "keeper": os.getpid(), "process_one": _process_one(unshare), "api_port": port}))
        _await_end(layout, unshare, wake, lifeline, report)
        if not layout.ready.exists():
            report({"ready": False, "reason": _why_not(layout, unshare)})
    except Exception as error:
        report({"ready": False, "reason": str(error)})
        raise
    finally:
        if unshare is not None:
            unshare.kill()
            unshare.wait()


def _why_not(layout, unshare):
    if layout.failure.exists():
        return layout.failure.read_text()
    if unshare.poll() is None:
        return "it was told to end before it was ready"
    return f"process 1 ended with {unshare.returncode}: {layout.machine_log.read_text(errors='replace')[-2000:]}"


def main(name, lifeline):
    layout = Layout(name)
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def report(line):
        try:
            os.write(output, (json.dumps(line) + "\n").encode())
        except BrokenPipeError:
            pass  # whoever asked is gone

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sweep()
    try:
        lock = take_lock(layout)
    except Busy:
        report({"ready": False, "busy": True, "reason": f"cluster {name} is there already"})
        return 3
    with lock:
        try:
            _keep(layout, lifeline, report)
        finally:
            remove_remains(layout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
