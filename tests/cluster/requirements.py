"""What a cluster needs of the machine, and why it cannot be had, in words for a person."""

import os
import pathlib
import shutil
import subprocess
import sys

from cluster import daemons
from cluster.layout import Layout, deps, programs

_COMMANDS = ("containerd", "ctr", "runc", "nft", "conntrack", "ip", "openssl", "unshare", "nsenter", "mount", "cc")
_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
             "coredns", "helm")


def unmet():
    """A sentence why no cluster can run here; None if one can."""
    if sys.platform != "linux":
        return "a cluster needs Linux"
    if os.geteuid() != 0:
        return "a cluster needs root, for namespaces, mounts and control groups"
    reason = deps() / "cluster" / "unavailable"
    if reason.exists():
        return reason.read_text().strip()
    missing = [name for name in _PROGRAMS if not (programs() / name).exists()]
    if missing:
        return f"{', '.join(missing)} not in {programs()}: run `make setup-cluster`"
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed: run `make setup-cluster`"
    if not pathlib.Path("/usr/lib/cni/bridge").exists():
        return "the CNI plugins are not in /usr/lib/cni: run `make setup-cluster`"
    return _refused_by_the_machine()


def _refused_by_the_machine():
    # What a container without privileges, or a kernel without these parts, does not let us do.
    trial = (
        "mount -t tmpfs tmpfs /run && mkdir /run/a /run/b /run/c /run/d && "
        "mount -t overlay -o lowerdir=/run/a,upperdir=/run/b,workdir=/run/c overlay /run/d && "
        "ip link add trial type bridge && ip link add v0 type veth peer name v1 && nft add table ip trial && "
        "echo 1 >/proc/sys/net/ipv4/ip_forward"
    )
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "--propagation", "private",
         "sh", "-c", trial], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        return f"this machine does not let us make namespaces, overlay mounts or links: {done.stderr.strip()}"
    for folder in daemons.cgroup_folders(Layout(f"trial-{os.getpid()}")):
        try:
            folder.mkdir()
            folder.rmdir()
        except OSError as error:
            return f"this machine does not let us make control groups: {error}"
    return None
