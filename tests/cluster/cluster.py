"""A cluster as a client sees it: bring one up, reach it, take it down."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from cluster.layout import SOURCE_DIR, Layout, programs, root

_UP_SECONDS = 180
_DOWN_SECONDS = 60


class ClusterError(Exception):
    """With a message for a person."""


class Cluster:
    """A cluster that stands."""

    def __init__(self, name, lifeline=None):
        self.name = name
        self.layout = Layout(name)
        self.kubeconfig = self.layout.kubeconfig
        self._lifeline = lifeline

    @property
    def facts(self):
        return json.loads(self.layout.facts.read_text())

    def environment(self):
        """Variables with which kubectl, helm and elephas find it."""
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{programs()}:{os.environ['PATH']}",
            # A proxy of the machine knows nothing of the relay on loopback.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def inside(self, *command, **options):
        """Runs a command in the cluster's namespaces, where pods, Services and containerd can be reached."""
        return subprocess.run(
            ["nsenter", f"--target={self.facts['process_one']}", "--mount", "--net", "--pid", "--ipc", "--",
             *map(str, command)], **options)

    def containerd(self, *arguments, **options):
        """ctr, in Kubernetes' namespace of containerd."""
        return self.inside("ctr", "--address", self.layout.containerd_socket, "--namespace", "k8s.io", *arguments,
                           **options)

    def load_image(self, archive):
        """An image of an OCI or docker archive, under the name that the archive says."""
        with open(archive, "rb") as file:
            done = self.containerd("images", "import", "-", stdin=file, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"{archive}: {done.stderr.strip()}")

    def signal_daemon(self, name, number):
        """Sends a signal to kubelet, containerd, kube-apiserver, …; one that ends is started again in a second."""
        pid = json.loads(self.layout.pids.read_text())[name]
        done = self.inside("kill", f"-{int(number)}", pid, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"{name}: {done.stderr.strip()}")

    def down(self):
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        down(self.name)


def standing(name):
    """The cluster of that name if it stands, None if there is none."""
    layout = Layout(name)
    return Cluster(name) if _keeper(layout) and layout.ready.exists() else None


def up(name, with_lifeline=False):
    """Brings a cluster up. With a lifeline it goes down when this process ends, however it ends.

    Without one, a cluster of that name that stands already is taken as it is.
    """
    layout = Layout(name)
    arguments = [sys.executable, "-m", "cluster.keeper", name]
    lifeline = keeper_end = None
    if with_lifeline:
        keeper_end, lifeline = os.pipe()
        arguments.append(str(keeper_end))
    keeper = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, cwd="/",
        stderr=subprocess.DEVNULL if not with_lifeline else None,
        pass_fds=[keeper_end] if with_lifeline else [],
        env={**os.environ, "PYTHONPATH": str(SOURCE_DIR / "tests"), "PYTHONDONTWRITEBYTECODE": "1"})
    if with_lifeline:
        os.close(keeper_end)
    with keeper.stdout:
        line = keeper.stdout.readline()
    said = json.loads(line) if line else {"ready": False, "reason": "its keeper ended without a word"}
    if said["ready"]:
        keeper.returncode = 0  # it goes on; subprocess need not wait for it
        return Cluster(name, lifeline)
    if lifeline is not None:
        os.close(lifeline)
    keeper.wait(_DOWN_SECONDS)
    if said.get("busy") and not with_lifeline:
        return _await_other(layout)
    raise ClusterError(said["reason"].strip())


def _await_other(layout):
    deadline = time.monotonic() + _UP_SECONDS
    while time.monotonic() < deadline:
        if layout.ready.exists():
            return Cluster(layout.name)
        if not layout.lock.exists():
            raise ClusterError(f"cluster {layout.name} was being started by another process, which gave up")
        time.sleep(0.1)
    raise ClusterError(f"cluster {layout.name} is being started by another process, for more than {_UP_SECONDS} s")


def down(name):
    """Removes every trace of a cluster, whatever state it is in; False when there was none."""
    from cluster import keeper

    layout = Layout(name)
    if not layout.lock.exists() and not layout.state.exists():
        return False
    deadline = time.monotonic() + _DOWN_SECONDS
    told = False
    while time.monotonic() < deadline:
        try:
            lock = keeper.take_lock(layout)
        except keeper.Busy:
            pid = _keeper(layout)
            if pid and not told:
                os.kill(pid, signal.SIGTERM)
                told = True
            time.sleep(0.05)
            continue
        with lock:
            keeper.remove_remains(layout)
        return True
    raise ClusterError(f"cluster {name} is still there after {_DOWN_SECONDS} s; its keeper is process "
                       f"{_keeper(layout) or 'unknown'}")


def names():
    """Of all clusters that have left a trace on this machine."""
    return sorted(path.name for path in root().iterdir() if path.is_dir()) if root().exists() else []


def _keeper(layout):
    """The keeper's process id, if it is one."""
    try:
        pid = json.loads(layout.facts.read_text())["keeper"]
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"cluster.keeper" in arguments and layout.name.encode() in arguments else None
