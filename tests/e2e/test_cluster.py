"""The cluster itself: what everything else here takes for granted, and that it leaves nothing behind."""

import os
import pathlib
import signal

import pytest
from cluster import cluster as clusters
from cluster.layout import PAUSE_IMAGE, VOLUMES_MOUNT
from kube import volume_folder
from support import wait_until
from traces import NO_TRACES, traces

_RESTRICTED = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{
        "name": "pause", "image": PAUSE_IMAGE, "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]}},
        "resources": {"limits": {"memory": "16Mi", "cpu": "100m"}},
    }],
}


def _pod(name, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {**_RESTRICTED, "terminationGracePeriodSeconds": 0, **spec}}


def test_restricted_pod_runs_and_has_an_address(kubectl):
    kubectl.apply(_pod("plain"))
    pod = kubectl.wait_for("pod", "plain", lambda item: item.get("status", {}).get("phase") == "Running")
    assert pod["status"]["podIP"].startswith("198.18.")


def test_privileged_pod_is_refused(kubectl):
    assert "violates PodSecurity" in kubectl.refuse(_pod("root", securityContext={"runAsUser": 0}))


def test_names_of_services_resolve(kubectl, cluster):
    kubectl.apply(_pod("named"), {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless"},
        "spec": {"clusterIP": "None", "selector": {"app": "named"}, "ports": [{"port": 80}]}})
    pod = kubectl.wait_for("pod", "named", lambda item: item.get("status", {}).get("phase") == "Running")
    name = f"headless.{kubectl.namespace}.svc.cluster.local"

    def resolved():
        done = cluster.inside("getent", "ahostsv4", name, capture_output=True, text=True)
        return pod["status"]["podIP"] in done.stdout

    wait_until(resolved, 30, f"{name} to resolve to {pod['status']['podIP']}")


def test_claim_is_bound_to_a_folder_that_pods_can_write(kubectl):
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "claim"},
                   "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}})
    assert volume_folder(kubectl, "claim").stat().st_uid == 65532


def _sysctls():
    """The machine's settings that Kubernetes would like to change."""
    names = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
             "net/ipv4/ip_forward")
    return {name: pathlib.Path("/proc/sys", name).read_text() for name in names}


def test_nothing_is_left_when_the_keeper_is_killed(cluster):
    """A second cluster beside the first, which must not notice; the first one's fixture looks after its own end."""
    before, there_before = _sysctls(), VOLUMES_MOUNT.exists()
    second = clusters.up(f"{cluster.name}-second")
    assert _sysctls() == before
    process_one = second.facts["process_one"]
    os.kill(second.facts["keeper"], signal.SIGKILL)
    wait_until(lambda: not pathlib.Path(f"/proc/{process_one}").exists(), 30, "process 1 to end")
    assert clusters.down(second.name)
    assert traces(second.layout) == NO_TRACES
    assert VOLUMES_MOUNT.exists() == there_before
    assert traces(cluster.layout)["processes"]


def test_cluster_that_is_there_is_not_started_twice(cluster):
    with pytest.raises(clusters.ClusterError, match="is there already"):
        clusters.up(cluster.name, with_lifeline=True)
    assert clusters.up(cluster.name).kubeconfig == cluster.kubeconfig
