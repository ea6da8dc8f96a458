"""Names, addresses and places that all parts of the cluster agree on."""

import dataclasses
import os
import pathlib

# 198.18.0.0/15 is set aside for tests of networks. Each cluster has a network namespace of its own, so all of
# them can use the same addresses.
NODE_ADDRESS = "198.18.0.1"
SERVICE_RANGE = "198.18.1.0/24"
API_SERVICE_ADDRESS = "198.18.1.1"
POD_RANGE = "198.18.2.0/23"
API_PORT = 6443

NODE_NAME = "node-0"
DOMAIN = "cluster.local"
PAUSE_IMAGE = "registry.elephas.test/pause:1"

# The user of the controller manager, who makes the folders of volumes; images run as the same one.
VOLUME_USER = 65532

# Where the cluster's processes find their programs, whoever they run as: a home folder may be closed to others.
BIN = pathlib.Path("/run/elephas/bin")

SOURCE_DIR = pathlib.Path(__file__).resolve().parents[2]
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Where Kubernetes puts volumes that it makes itself on a cluster of one node; not ours to choose.
VOLUMES_MOUNT = pathlib.Path("/tmp/hostpath_pv")


def root():
    """The folder of all clusters of this machine."""
    return pathlib.Path(os.environ.get("ELEPHAS_CLUSTER_DIR", "/var/lib/elephas-cluster"))


def deps():
    """What scripts/setup.sh fills."""
    return pathlib.Path(os.environ.get("ELEPHAS_DEPS_DIR") or pathlib.Path.home() / ".cache" / "elephas")


def programs():
    """The folder of kube-apiserver, kubectl, helm and so on."""
    return deps() / "cluster" / "bin"


@dataclasses.dataclass(frozen=True)
class Layout:
    """The files of one cluster."""

    name: str

    @property
    def state(self):
        return root() / self.name

    @property
    def lock(self):
        """Held by the cluster's keeper for as long as anything of the cluster may exist."""
        return root() / f"{self.name}.lock"

    @property
    def cgroup(self):
        """Below each controller's hierarchy."""
        return f"elephas-{self.name}"

    @property
    def certificates(self):
        return self.state / "certificates"

    @property
    def config(self):
        return self.state / "config"

    @property
    def logs(self):
        return self.state / "logs"

    @property
    def covers(self):
        """What stands in for folders of the machine."""
        return self.state / "covers"

    @property
    def containerd(self):
        return self.state / "containerd"

    @property
    def kubelet(self):
        return self.state / "kubelet"

    @property
    def etcd(self):
        return self.state / "etcd"

    @property
    def temporary(self):
        return self.state / "tmp"

    @property
    def volumes(self):
        """What is inside of volumes, one folder for each."""
        return self.state / "volumes"

    @property
    def kubeconfig(self):
        """An administrator's, for this machine."""
        return self.state / "kubeconfig"

    @property
    def facts(self):
        """What a client of the cluster must know; written when the keeper starts."""
        return self.state / "facts.json"

    @property
    def pids(self):
        """The daemons' process ids, in the cluster's own PID namespace, by their names."""
        return self.state / "pids.json"

    @property
    def machine_log(self):
        return self.state / "machine.log"

    @property
    def pause_archive(self):
        return self.state / "pause.tar"

    @property
    def failure(self):
        """Why the cluster could not start; absent when it could."""
        return self.state / "failure"

    @property
    def ready(self):
        """Exists once the control plane answers and the node is ready."""
        return self.state / "ready"

    @property
    def containerd_socket(self):
        # Socket paths must be short, and the state folder's may not be; /run is the cluster's own.
        return pathlib.Path("/run/containerd/containerd.sock")

    @property
    def covered(self):
        """Folders of the machine that the cluster's processes see as their own, by where theirs are."""
        names = {
            "/var/log": self.covers / "log",
            "/var/lib/cni": self.covers / "cni",
            "/var/lib/kubelet": self.covers / "kubelet",
            str(VOLUMES_MOUNT): self.volumes,
        }
        return {pathlib.Path(path): own for path, own in names.items()}
