"""Process 1 of a cluster's own PID, mount and network namespaces: python -m cluster.machine NAME DESCRIPTOR.

Makes mounts and addresses, starts the daemons in order, tells the keeper when the node is ready, and then
starts again whatever ends, as an init system would. Nothing outlives it: the kernel ends every process of the
namespace with it, and takes the mounts and links down after the last of them.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

from cluster import daemons
from cluster.layout import BIN, NODE_ADDRESS, NODE_NAME, SOURCE_DIR, Layout, programs

_START_SECONDS = 120
_RESTART_SECONDS = 1.0

# The kubelet sets these, and they are the whole machine's. Where they already say what it wants it leaves
# them alone, so its own view of them says that.
_SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def main(name, relay_descriptor):
    layout = Layout(name)
    try:
        _mounts(layout)
        _network()
        init = _Init(layout, relay_descriptor)
        for daemon in daemons.control_plane(layout):
            init.start(daemon)
        _kubectl(layout, "apply", "--server-side", "-f", SOURCE_DIR / "tests" / "cluster" / "addons.yaml")
        _load_pause_image(layout)
        for daemon in daemons.node(layout, relay_descriptor):
            init.start(daemon)
        init.wait(lambda: _is_usable(layout), f"node {NODE_NAME} to be ready")
    except Exception as error:  # whatever it is, the keeper must hear of it
        traceback.print_exc()
        layout.failure.write_text(f"{error}\n")
        return 1
    layout.ready.touch()
    init.keep_running()
    return 0


def _run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdin=options.pop("stdin", subprocess.DEVNULL),
                          capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


# --- what the namespaces look like --------------------------------------------------------------------


def _mounts(layout):
    # Volumes of pods must reach containers that are already there, inside of these namespaces only.
    _run("mount", "--make-rshared", "/")
    for covered, own in layout.covered.items():
        own.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", own, covered)
    resolver = pathlib.Path(os.path.realpath("/etc/resolv.conf"))
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    BIN.mkdir(parents=True)
    _run("mount", "--bind", programs(), BIN)
    own_resolver = layout.state / "resolv.conf"
    own_resolver.write_text(f"nameserver {NODE_ADDRESS}\n")  # which says at once that it knows no registry
    if not resolver.exists():
        resolver.parent.mkdir(parents=True, exist_ok=True)
        resolver.touch()
    _run("mount", "--bind", own_resolver, resolver)
    for key, value in _SYSCTLS.items():
        own = layout.state / "sysctl" / key
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(f"{value}\n")
        target = pathlib.Path("/proc/sys") / key
        if target.exists():
            _run("mount", "--bind", own, target)


def _network():
    _run("ip", "link", "set", "lo", "up")
    # A bridge without ports carries the node's address; not every kernel has the dummy device.
    _run("ip", "link", "add", "node", "type", "bridge")
    _run("ip", "address", "add", f"{NODE_ADDRESS}/24", "dev", "node")
    _run("ip", "link", "set", "node", "up")
    _run("ip", "route", "add", "default", "dev", "node")
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    bridges = pathlib.Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if bridges.exists():
        bridges.write_text("1")


# --- daemons ------------------------------------------------------------------------------------------


class _Init:
    """Starts daemons, and what ends again. One thread, so that nothing else waits for a child meanwhile."""

    def __init__(self, layout, relay_descriptor):
        self._layout = layout
        self._relay_descriptor = relay_descriptor
        self._running = {}  # pid -> Daemon
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        layout.logs.mkdir(exist_ok=True)
        layout.temporary.mkdir(exist_ok=True)

    def start(self, daemon):
        """Returns once the daemon is ready; raises if it ends first."""
        self._spawn(daemon)
        if daemon.ready:
            self.wait(daemon.ready, f"{daemon.name} to answer")

    def wait(self, condition, what):
        deadline = time.monotonic() + _START_SECONDS
        while not condition():
            for pid, status in _buried():
                daemon = self._running.pop(pid, None)
                if daemon:
                    raise RuntimeError(f"{daemon.name} ended with {status}; the end of its log:\n{self._tail(daemon)}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"gave up waiting for {what} after {_START_SECONDS} s")
            time.sleep(0.05)

    def keep_running(self):
        while True:
            signal.sigtimedwait([signal.SIGCHLD], _RESTART_SECONDS)
            for pid, status in _buried():
                daemon = self._running.pop(pid, None)
                if daemon:
                    print(f"{daemon.name} ended with {status}, starting it again", flush=True)
                    time.sleep(_RESTART_SECONDS)
                    self._spawn(daemon)

    def _spawn(self, daemon):
        environment = {**os.environ, "TMPDIR": str(self._layout.temporary)}
        with open(self._layout.logs / f"{daemon.name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in daemon.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=daemon.user,
                group=daemon.user,
                extra_groups=[],
                pass_fds=[self._relay_descriptor] if daemon.needs_relay_socket else [],
                env=environment,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, []),
            )
        process.returncode = 0  # _buried() waits for it, subprocess need not
        self._running[process.pid] = daemon
        _write_whole(self._layout.pids, json.dumps({other.name: pid for pid, other in self._running.items()}))

    def _tail(self, daemon):
        lines = (self._layout.logs / f"{daemon.name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])


def _write_whole(path, text):
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.rename(path)


def _buried():
    """(pid, status) of every child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


# --- what a new cluster gets --------------------------------------------------------------------------


def _kubectl(layout, *arguments):
    return _run(BIN / "kubectl", f"--kubeconfig={layout.config}/admin.kubeconfig", *arguments)


def _load_pause_image(layout):
    with open(layout.pause_archive, "rb") as archive:
        _run("ctr", "--address", layout.containerd_socket, "--namespace", "k8s.io", "images", "import", "-",
             stdin=archive)


def _is_usable(layout):
    """The node is ready, and pods find the service account that they run as by default."""
    command = [BIN / "kubectl", f"--kubeconfig={layout.config}/admin.kubeconfig", "get"]
    node = subprocess.run(
        [*command, "node", NODE_NAME, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    account = subprocess.run([*command, "serviceaccount", "default"], stdin=subprocess.DEVNULL, capture_output=True)
    return node.stdout == "True" and account.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
