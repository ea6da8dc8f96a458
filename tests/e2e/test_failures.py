"""What is in a job's way: each ends in success, or in a condition that says what to do."""

import signal

import pytest
from jobs import EXAMPLES_IN_DIGITS_CSV, claim, endless, manifest, prepare, run_locally
from kube import Kubectl, condition, is_true
from support import wait_until

# Some seconds of training, so that it is not over before something can be done to it.
_EPOCHS = 300
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@pytest.fixture
def undisturbed(jobs, digits, bin_dir, processes):
    """The weights that the same job has when nothing happens."""
    out = run_locally(manifest(fit_epochs=_EPOCHS), digits, bin_dir, processes)
    return (out / "model.safetensors").read_bytes()


def test_everything_is_killed_once(jobs, undisturbed, operator_pods):
    """kill -9 of a worker, the server and the operator, each while the job trains: the same bits, exact counts."""
    name = jobs.apply(manifest(fit_epochs=_EPOCHS))
    jobs.wait_checkpoint(name)
    worker, pod = next(iter(jobs.wait_running_pods(name, "worker").items()))
    jobs.kill_container(pod)
    for pod in operator_pods():
        jobs.kill_container(pod)
    server, = jobs.live_pods(name, "paramserver").values()
    jobs.kill_container(server)
    job = jobs.wait_succeeded(name)
    assert jobs.history(name)["examples"] == [EXAMPLES_IN_DIGITS_CSV] * _EPOCHS
    assert jobs.weights(name) == undisturbed
    assert worker not in jobs.live_pods(name, "worker")
    assert job["status"]["workers"]["failed"] >= 1


def test_evicted_pod_is_replaced_and_does_not_count(jobs):
    name = jobs.apply(manifest(fit_epochs=_EPOCHS, runPolicy_backoffLimit=0))
    jobs.wait_checkpoint(name)
    victim = next(iter(jobs.wait_running_pods(name, "worker")))
    jobs.kubectl.run("create", "--raw", f"/api/v1/namespaces/{jobs.kubectl.namespace}/pods/{victim}/eviction", "-f",
                     "-", input='{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "%s"}}' % victim)
    jobs.wait_succeeded(name)
    assert jobs.history(name)["examples"] == [EXAMPLES_IN_DIGITS_CSV] * _EPOCHS


def test_backoff_limit(jobs):
    name = jobs.apply(endless(runPolicy_backoffLimit=1))
    jobs.wait_training(name)
    killed = set()
    for _ in range(2):
        fresh = wait_until(lambda: [pod for key, pod in jobs.running_pods(name, "worker").items() if key not in killed],
                           60, "a worker")
        killed.add(fresh[0]["metadata"]["name"])
        jobs.kill_container(fresh[0])
    failed = jobs.wait_failed(name)
    assert failed["reason"] == "BackoffLimitExceeded"
    assert "backoffLimit" in failed["message"] and "137" in failed["message"]


def test_worker_out_of_memory(jobs):
    job = endless(runPolicy_backoffLimit=1)
    container, = job["spec"]["workers"]["template"]["spec"]["containers"]
    container["resources"] = {"requests": {"memory": "24Mi"}, "limits": {"memory": "24Mi"}}
    name = jobs.apply(job)
    failed = jobs.wait_failed(name)
    assert failed["reason"] == "BackoffLimitExceeded"
    assert "memory" in failed["message"]


# name of the job -> (its manifest, reason, words that its message has)
def _obstacles():
    no_image = endless("no-image")
    container, = no_image["spec"]["workers"]["template"]["spec"]["containers"]
    container["image"] = "registry.invalid/nothing:1"
    no_claim = endless("no-claim")
    no_claim["spec"]["workers"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "absent"
    never_bound = endless("never-bound")
    never_bound["spec"]["workers"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "unbound"
    too_large = endless("too-large")
    container, = too_large["spec"]["workers"]["template"]["spec"]["containers"]
    container["resources"] = {"requests": {"cpu": "1000"}}
    no_model = endless("no-model")
    no_model["spec"]["model"] = {"configMapRef": {"name": "absent", "key": "model.json"}}
    return {
        "no-image": (no_image, "ImagePullFailed", ["registry.invalid/nothing:1"]),
        "no-claim": (no_claim, "VolumeNotBound", ["absent"]),
        "never-bound": (never_bound, "VolumeNotBound", ["unbound"]),
        "too-large": (too_large, "Unschedulable", ["cpu"]),
        "no-model": (no_model, "PodNotStarting", ["absent"]),
    }


@pytest.fixture(scope="module", autouse=True)
def obstructed(module_jobs):
    """All of these jobs wait side by side, from the start, because one of them is only told after half a minute."""
    module_jobs.kubectl.apply(claim("unbound", storageClassName="none"))
    module_jobs.apply(*(job for job, _, _ in _obstacles().values()))
    return module_jobs


@pytest.mark.parametrize("name", sorted(_obstacles()))
def test_obstacle_is_told(obstructed, name):
    _, reason, words = _obstacles()[name]
    running = obstructed.wait_reason(name, "Running", reason)
    assert running["status"] == "False"
    for word in words:
        assert word in running["message"]
    assert is_true("Stalled")(obstructed.get(name))


def test_quota_in_the_way_and_out_of_it(jobs):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
             "spec": {"hard": {"pods": "2"}}}
    jobs.kubectl.apply(quota)
    wait_until(lambda: jobs.kubectl.get("quota", "small").get("status", {}).get("hard"), 30, "the quota to count")
    name = jobs.apply(manifest())
    told = jobs.wait_reason(name, "Running", "QuotaExceeded")
    assert "small" in told["message"]
    jobs.kubectl.run("delete", "quota", "small")
    jobs.wait_succeeded(name)


def test_image_that_comes_later(jobs, image_names):
    """The reason goes away by itself once the cause is gone."""
    job = manifest()
    container, = job["spec"]["workers"]["template"]["spec"]["containers"]
    container["image"] = "registry.invalid/later:1"
    name = jobs.apply(job)
    jobs.wait_reason(name, "Running", "ImagePullFailed")
    cluster = jobs.kubectl.cluster
    done = cluster.containerd("images", "tag", image_names["worker"], "registry.invalid/later:1", capture_output=True,
                              text=True)
    assert done.returncode == 0, done.stderr
    jobs.wait_succeeded(name)


def test_node_that_dies(jobs, cluster, operator_pods):
    """The node goes away with everything on it, the operator included, and comes back empty."""
    name = jobs.apply(manifest(fit_epochs=_EPOCHS))
    jobs.wait_checkpoint(name)
    on_the_node = [*jobs.wait_running_pods(name, count=3).values(), *operator_pods()]
    lost = {pod["metadata"]["uid"] for pod in on_the_node}
    cluster.signal_daemon("kubelet", signal.SIGSTOP)
    try:
        for pod in on_the_node:
            jobs.kill_container(pod)
        # What an administrator says of a node that has been switched off: its pods are gone for good. Kubernetes
        # takes them away once the node has also been silent for long enough.
        jobs.kubectl.run("taint", "node", "node-0", f"{_OUT_OF_SERVICE}=off:NoExecute")
        wait_until(lambda: lost.isdisjoint(pod["metadata"]["uid"] for pod in jobs.pods(name)), 120,
                   "the dead node's pods to be given up")
    finally:
        cluster.signal_daemon("kubelet", signal.SIGKILL)
        jobs.kubectl.try_run("taint", "node", "node-0", f"{_OUT_OF_SERVICE}-")
    jobs.wait_succeeded(name, 180)
    assert jobs.history(name)["examples"] == [EXAMPLES_IN_DIGITS_CSV] * _EPOCHS


def test_template_with_a_word_that_is_none(jobs):
    """The API server would drop the field, and the pods would not be what their template says. (More: test_templates.py)"""
    job = manifest()
    job["spec"]["workers"]["template"]["spec"]["priorityClass"] = "high"
    assert 'unknown field "spec.workers.template.spec.priorityClass"' in jobs.kubectl.refuse(job)


def test_obstacle_of_admission_is_told(administrator, cluster, digits):
    """A namespace whose policy refuses the job's pods."""
    administrator.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "admission", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    jobs = prepare(Kubectl(cluster, "admission"), digits)
    job = manifest()
    job["spec"]["workers"]["template"]["spec"]["hostNetwork"] = True
    name = jobs.apply(job)
    told = jobs.wait_reason(name, "Running", "PodRefused")
    assert "hostNetwork" in told["message"] or "host namespaces" in told["message"]
    assert condition(jobs.get(name), "Failed").get("status") != "True"
    administrator.run("delete", "namespace", "admission", "--wait=false")
