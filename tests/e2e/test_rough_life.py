"""What other operators' users reported: names in a row, limits, sidecars, gates, workers that crash at once."""

import json
import subprocess
from datetime import datetime

import pytest
from cluster.layout import PAUSE_IMAGE
from jobs import EXAMPLES_IN_DIGITS_CSV, endless, manifest
from kube import condition, is_true
from support import wait_until

_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_SIDECAR = {"name": "sidecar", "image": PAUSE_IMAGE, "imagePullPolicy": "IfNotPresent", "securityContext": _RESTRICTED,
            "resources": {"requests": {"cpu": "10m"}}}


def _worker_container(job):
    return job["spec"]["workers"]["template"]["spec"]["containers"][0]


def _without_requests(job):
    for role in ("workers", "parameterServers"):
        for container in job["spec"][role]["template"]["spec"]["containers"]:
            container.pop("resources", None)
    return job


@pytest.mark.parametrize("pause", [False, True], ids=["at-once", "while-it-runs"])
def test_the_same_name_ten_times_in_a_row(jobs, pause):
    for _ in range(9):
        name = jobs.apply(endless())
        if pause:
            jobs.wait_running_pods(name, "worker")
        jobs.kubectl.run("delete", "ej", name, "--wait=false")
        jobs.kubectl.wait_gone("ej", name)
    jobs.apply(endless())
    job = jobs.wait_training(name, timeout=150)
    assert condition(job, "Failed")["status"] == "False"
    uid = job["metadata"]["uid"]
    assert {pod["metadata"]["labels"]["elephas.dev/job-uid"] for pod in jobs.live_pods(name).values()} == {uid}
    jobs.kubectl.run("delete", "ej", name, "--wait=false")


def test_replaced_by_force(jobs):
    name = jobs.apply(endless())
    jobs.wait_training(name)
    jobs.kubectl.run("replace", "--force", "--wait=false", "-f", "-", input=json.dumps(manifest()))
    jobs.wait_succeeded(name, 150)


def test_limit_of_the_template_below_our_requests(jobs):
    job = _without_requests(manifest())
    _worker_container(job)["resources"] = {"limits": {"cpu": "100m"}}
    name = jobs.apply(job)
    worker = next(iter(jobs.wait_running_pods(name, "worker").values()))
    assert worker["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "100m"
    jobs.wait_succeeded(name, 240)


def _limit_range(**limits):
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"},
            "spec": {"limits": [{"type": "Container", **limits}]}}


def test_default_limit_of_the_namespace_below_our_requests(jobs):
    jobs.kubectl.apply(_limit_range(default={"cpu": "90m"}))
    name = jobs.apply(_without_requests(endless()))
    worker = next(iter(jobs.wait_running_pods(name, "worker").values()))
    assert worker["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "90m"
    jobs.kubectl.run("delete", "ej", name, "--wait=false")


def test_limit_range_in_the_way_and_out_of_it(jobs):
    """The template itself asks for more than the namespace's default limit: told, and tried again."""
    jobs.kubectl.apply(_limit_range(default={"cpu": "5m"}))
    name = jobs.apply(manifest())
    told = jobs.wait_reason(name, "Running", "PodInvalid")
    assert "cpu limit" in told["message"]
    assert not is_true("Failed")(jobs.get(name))
    jobs.kubectl.run("delete", "limitrange", "small")
    jobs.wait_succeeded(name)


def test_sidecars_do_not_keep_what_is_over(jobs):
    job = manifest()
    job["spec"]["workers"]["template"]["spec"]["containers"].append(_SIDECAR)
    job["spec"]["parameterServers"]["template"]["spec"]["containers"].append(_SIDECAR)
    name = jobs.apply(job)
    jobs.wait_succeeded(name)
    wait_until(lambda: jobs.live_pods(name) == {}, 60, "the pods of the sidecars to go")


def test_dead_worker_with_a_sidecar_makes_room_and_keeps_its_log(jobs):
    job = endless(workers_replicas=1)
    job["spec"]["workers"]["template"]["spec"]["containers"].append(_SIDECAR)
    name = jobs.apply(job)
    jobs.wait_training(name)
    (victim, pod), = jobs.wait_running_pods(name, "worker").items()
    status, = [each for each in pod["status"]["containerStatuses"] if each["name"] == "worker"]
    jobs.kill_container({"status": {"containerStatuses": [status]}})
    wait_until(lambda: victim not in jobs.live_pods(name), 60, "the dead worker's pod to be over")
    jobs.wait_for(name, lambda item: item["status"]["workers"].get("ready") == 1, what="the replacement")
    old = jobs.kubectl.get("pod", victim)
    assert old["status"]["phase"] == "Failed"
    assert all("terminated" in each["state"] for each in old["status"]["containerStatuses"])
    assert jobs.kubectl.run("logs", victim, "-c", "worker")
    assert jobs.get(name)["status"]["restarts"] == 1
    jobs.kubectl.run("delete", "ej", name, "--wait=false")


def test_scheduling_gate_is_named(jobs):
    job = manifest()
    job["spec"]["workers"]["template"]["spec"]["schedulingGates"] = [{"name": "example.com/hold"}]
    name = jobs.apply(job)
    told = jobs.wait_reason(name, "Running", "SchedulingGated", 30)
    assert "example.com/hold" in told["message"]
    assert not is_true("Stalled")(jobs.get(name))
    for pod in jobs.live_pods(name, "worker"):
        jobs.kubectl.run("patch", "pod", pod, "--type=json", "-p",
                         json.dumps([{"op": "remove", "path": "/spec/schedulingGates"}]))
    jobs.wait_succeeded(name)


def test_init_container_that_fails_is_named_and_given_time(jobs, image_names):
    job = endless(workers_replicas=1)
    job["spec"]["workers"]["template"]["spec"]["initContainers"] = [
        {"name": "fetch", "image": image_names["worker"], "imagePullPolicy": "IfNotPresent",
         "securityContext": _RESTRICTED}]
    name = jobs.apply(job)
    told = jobs.wait_reason(name, "Running", "InitContainerFailed")
    assert "init container fetch" in told["message"] and "--server is required" in told["message"]
    # The third pod comes ten seconds after the second one's death, the fourth twenty after that.
    jobs.wait_for(name, lambda item: item["status"].get("restarts", 0) >= 3, what="a third death")
    made = sorted(pod["metadata"]["creationTimestamp"] for pod in jobs.pods(name, "worker"))
    assert (datetime.fromisoformat(made[2]) - datetime.fromisoformat(made[0])).total_seconds() >= 10
    assert not is_true("Failed")(jobs.get(name))
    jobs.kubectl.run("delete", "ej", name, "--wait=false")


def test_late_worker_does_not_wait_for_a_server_that_is_gone(jobs):
    """cleanPodPolicy: None keeps what has ended; a worker that is let go only then would wait 300 s."""
    job = manifest(workers_replicas=2, runPolicy_cleanPodPolicy="None")
    job["spec"]["workers"]["template"]["spec"]["schedulingGates"] = [{"name": "example.com/hold"}]
    name = jobs.apply(job)
    wait_until(lambda: len(jobs.live_pods(name, "worker")) == 2, 60, "two workers")
    jobs.kubectl.run("patch", "pod", f"{name}-worker-0", "--type=json", "-p",
                     json.dumps([{"op": "remove", "path": "/spec/schedulingGates"}]))
    jobs.wait_succeeded(name)
    assert jobs.history(name)["examples"] == [EXAMPLES_IN_DIGITS_CSV] * 2
    jobs.kubectl.wait_gone("pod", f"{name}-worker-1")
    assert jobs.kubectl.get("pod", f"{name}-worker-0")["status"]["phase"] == "Succeeded"


def test_submit_after_apply_of_the_same_file(jobs, bin_dir, tmp_path):
    path = tmp_path / "job.json"
    # Of a model's nulls kubectl leaves those out that are members of mappings.
    job = endless(model={"inline": {"class_name": "Sequential", "config": {"name": "model", "layers": [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 64], "dtype": "float32", "name": "pixels"}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax", "name": "digits",
                                           "kernel_regularizer": None}}]}}})
    path.write_text(json.dumps(job))
    jobs.kubectl.run("apply", "-f", path)

    def submit(*arguments):
        return subprocess.run([bin_dir / "elephas", "submit", path, "-n", jobs.kubectl.namespace, *arguments],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env=jobs.kubectl.cluster.environment())

    done = submit()
    assert done.returncode == 0, done.stderr
    jobs.kubectl.run("scale", f"ej/{job['metadata']['name']}", "--replicas=1")
    done = submit()
    assert done.returncode == 1
    assert ".spec.workers.replicas: 1 on the cluster" in done.stderr and "2 in the manifest" in done.stderr
    assert "--force-conflicts" in done.stderr
    done = submit("--force-conflicts")
    assert done.returncode == 0, done.stderr
    jobs.kubectl.run("delete", "ej", job["metadata"]["name"], "--wait=false")
