"""What runs in a cluster: command lines and configuration, nothing is started here.

write_config() puts every file that the daemons read below Layout.config; control_plane() and node() list them
in the order in which they are started.
"""

import base64
import dataclasses
import json
import os
import secrets
import sys
from collections.abc import Callable

from cluster import probes
from cluster.layout import (
    API_PORT,
    BIN,
    CGROUPS,
    DOMAIN,
    NODE_ADDRESS,
    NODE_NAME,
    PAUSE_IMAGE,
    POD_RANGE,
    SERVICE_RANGE,
    SOURCE_DIR,
    VOLUME_USER,
)

API_URL = f"https://{NODE_ADDRESS}:{API_PORT}"

# Who speaks to the API server, and as whom.
_USERS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{NODE_NAME}", "system:nodes"),
    "coredns": ("elephas:coredns", ""),
}


@dataclasses.dataclass(frozen=True)
class Daemon:
    name: str
    command: list
    # The next one is not started before this says so; a daemon without it is not waited for.
    ready: Callable[[], bool] | None = None
    user: int = 0
    needs_relay_socket: bool = False


def control_plane(layout):
    """As far as it takes to apply manifests and to load images."""
    config, certificates = layout.config, layout.certificates
    token = (config / "admin.token").read_text()
    return [
        Daemon("etcd", [
            BIN / "etcd", f"--data-dir={layout.etcd}", "--name=etcd",
            "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=etcd=http://127.0.0.1:2380",
            # Nobody needs this cluster's data after a power cut.
            "--unsafe-no-fsync", "--log-level=warn",
        ], ready=lambda: probes.http("http://127.0.0.1:2379/health")),
        Daemon("kube-apiserver", [
            BIN / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
            f"--secure-port={API_PORT}", "--bind-address=0.0.0.0", f"--advertise-address={NODE_ADDRESS}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            f"--token-auth-file={config / 'tokens.csv'}",
            f"--tls-cert-file={certificates / 'apiserver.crt'}",
            f"--tls-private-key-file={certificates / 'apiserver.key'}",
            f"--kubelet-certificate-authority={certificates / 'ca.crt'}",
            f"--kubelet-client-certificate={certificates / 'apiserver-client.crt'}",
            f"--kubelet-client-key={certificates / 'apiserver-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-signing-key-file={certificates / 'service-accounts.key'}",
            f"--service-account-key-file={certificates / 'service-accounts.key'}",
            "--allow-privileged=true", "--profiling=false",
        ], ready=lambda: probes.api(f"{API_URL}/readyz", certificates / "ca.crt", token)),
        Daemon("containerd", ["containerd", "--config", config / "containerd.toml"],
               ready=lambda: probes.unix_socket(layout.containerd_socket)),
    ]


def node(layout, relay_descriptor):
    """Everything else."""
    config, certificates = layout.config, layout.certificates

    def kubeconfig(name):
        return f"--kubeconfig={config / name}.kubeconfig"

    return [
        Daemon("kube-controller-manager", [
            BIN / "kube-controller-manager", kubeconfig("controller-manager"), "--bind-address=127.0.0.1",
            "--leader-elect=false", "--use-service-account-credentials=true",
            f"--service-account-private-key-file={certificates / 'service-accounts.key'}",
            f"--root-ca-file={certificates / 'ca.crt'}",
            "--enable-hostpath-provisioner=true", "--profiling=false",
            # A lost node counts as lost after seconds, so that tests of it take seconds.
            "--node-monitor-grace-period=12s", "--node-monitor-period=1s",
        ], user=VOLUME_USER),
        Daemon("kube-scheduler", [
            BIN / "kube-scheduler", kubeconfig("scheduler"), "--bind-address=127.0.0.1", "--leader-elect=false",
            "--profiling=false",
        ]),
        Daemon("coredns", [BIN / "coredns", "-conf", config / "Corefile"]),
        Daemon("kube-proxy", [
            BIN / "kube-proxy", kubeconfig("proxy"), f"--hostname-override={NODE_NAME}",
            "--proxy-mode=nftables", f"--cluster-cidr={POD_RANGE}", "--oom-score-adj=0",
            # Connection tracking's settings are the machine's, not the cluster's.
            "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
            *([] if _bridges_are_filtered() else ["--masquerade-all"]),
        ]),
        Daemon("kubelet", [
            BIN / "kubelet", kubeconfig("kubelet"), f"--config={config / 'kubelet.json'}",
            f"--root-dir={layout.kubelet}", f"--hostname-override={NODE_NAME}", f"--node-ip={NODE_ADDRESS}",
        ]),
        Daemon("relay", [
            sys.executable, SOURCE_DIR / "tests" / "cluster" / "relay.py", relay_descriptor, NODE_ADDRESS, API_PORT,
        ], needs_relay_socket=True),
    ]


def _bridges_are_filtered():
    """Whether replies between two pods of one bridge pass the rules that undo a Service's address."""
    try:
        with open("/proc/sys/net/bridge/bridge-nf-call-iptables") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def write_config(layout, relay_port):
    """Needs the certificates. The administrator's kubeconfig for the machine goes to layout.kubeconfig."""
    config = layout.config
    config.mkdir(mode=0o711)  # files inside are their owners' only
    lines = []
    for name, (user, groups) in _USERS.items():
        token = secrets.token_urlsafe(32)
        lines.append(f'{token},{user},{name},"{groups}"')
        _write_json(config / f"{name}.kubeconfig", _kubeconfig(layout, API_URL, name, token))
        if name == "admin":
            _write(config / "admin.token", token)
            _write_json(layout.kubeconfig, _kubeconfig(layout, f"https://127.0.0.1:{relay_port}", name, token))
    os.chown(config / "controller-manager.kubeconfig", VOLUME_USER, VOLUME_USER)
    _write(config / "tokens.csv", "\n".join(lines) + "\n")
    _write(config / "containerd.toml", _containerd(layout))
    _write_json(config / "kubelet.json", _kubelet(layout))
    _write(config / "Corefile", _corefile(config))
    (config / "cni").mkdir()
    _write_json(config / "cni" / "10-pods.conflist", _pod_network())


def _write(path, text):
    path.touch(mode=0o600)
    path.write_text(text)


def _write_json(path, value):
    _write(path, json.dumps(value, indent=1) + "\n")


def _kubeconfig(layout, server, user, token):
    # Everything inside, so that a copy of the file works from anywhere.
    authority = base64.b64encode((layout.certificates / "ca.crt").read_bytes()).decode()
    name = f"elephas-{layout.name}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": "default"}}],
    }


def _containerd(layout):
    return f"""\
version = 2
root = "{layout.containerd}/root"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{layout.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.containerd}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Lowering a score takes a capability that a container of the machine's own may not have.
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{layout.config}/cni"
"""


def _pod_network():
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(layout):
    certificates = layout.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificates / "kubelet.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "resolvConf": "",
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": DOMAIN,
        "volumePluginDir": str(layout.state / "volume-plugins"),
        "podLogsDir": "/var/log/pods",
        "maxPods": 250,
        # There is no registry to get an image from again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "4s",
        "nodeLeaseDurationSeconds": 8,
    }


def _corefile(config):
    return f"""\
.:53 {{
  errors
  health 127.0.0.1:8080
  ready 127.0.0.1:8181
  kubernetes {DOMAIN} in-addr.arpa {{
    kubeconfig {config}/coredns.kubeconfig
    ttl 2
  }}
  cache 2
}}
"""


def cgroup_folders(layout):
    """The cluster's folder in every hierarchy: one on cgroup v2, one per controller on v1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / layout.cgroup]
    # Names like "cpu,cpuacct" may be there twice, once as a link.
    return sorted({
        (folder / layout.cgroup) for folder in CGROUPS.iterdir() if folder.is_dir() and not folder.is_symlink()
    })
