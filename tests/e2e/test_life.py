"""What a person does with a job that runs."""

import json

import pytest
from jobs import EXAMPLES_IN_DIGITS_CSV, endless, manifest
from kube import condition, is_true
from support import wait_until


def _patch(jobs, name, path, value):
    jobs.kubectl.run("patch", "ej", name, "--type=json", "-p",
                     json.dumps([{"op": "add", "path": path, "value": value}]))


def test_suspend_and_resume(jobs):
    job = manifest(fit_epochs=300, runPolicy_suspend=True)
    name = jobs.apply(job)
    jobs.wait_for(name, is_true("Suspended"))
    assert jobs.pods(name) == []

    _patch(jobs, name, "/spec/runPolicy/suspend", False)
    jobs.wait_checkpoint(name)
    _patch(jobs, name, "/spec/runPolicy/suspend", True)
    jobs.wait_for(name, is_true("Suspended"))
    wait_until(lambda: jobs.pods(name) == [], 60, "the pods of a suspended job to go")
    assert jobs.get(name)["status"].get("completionTime") is None

    _patch(jobs, name, "/spec/runPolicy/suspend", False)
    jobs.wait_succeeded(name)
    assert jobs.history(name)["examples"] == [EXAMPLES_IN_DIGITS_CSV] * 300


def test_scale_while_it_trains(jobs):
    name = jobs.apply(endless())
    jobs.wait_training(name)
    jobs.kubectl.run("scale", f"ej/{name}", "--replicas=4")
    jobs.wait_for(name, lambda item: item["status"]["workers"].get("ready") == 4, what="four workers")
    jobs.kubectl.run("scale", f"ej/{name}", "--replicas=1")
    wait_until(lambda: len(jobs.live_pods(name, "worker")) == 1, 60, "one worker")
    reached = jobs.get(name)["status"]["epoch"]
    jobs.wait_training(name, reached + 2)
    jobs.kubectl.run("delete", "ej", name, "--wait=false")


def test_scaled_job_has_the_weights_of_one_that_was_not(jobs):
    jobs.apply(manifest("plain", fit_epochs=300), manifest("scaled", fit_epochs=300, workers_replicas=1))
    jobs.wait_checkpoint("scaled")
    jobs.kubectl.run("scale", "ej/scaled", "--replicas=3")
    jobs.wait_succeeded("plain")
    jobs.wait_succeeded("scaled")
    assert jobs.weights("scaled") == jobs.weights("plain")
    assert jobs.history("scaled")["examples"] == [EXAMPLES_IN_DIGITS_CSV] * 300


def test_deadline(jobs):
    name = jobs.apply(endless(runPolicy_activeDeadlineSeconds=5))
    failed = jobs.wait_failed(name)
    assert failed["reason"] == "DeadlineExceeded"
    assert "activeDeadlineSeconds" in failed["message"]
    wait_until(lambda: jobs.live_pods(name) == {}, 60, "its pods to go")


def test_deletion_in_the_middle_takes_everything_along(jobs):
    name = jobs.apply(endless())
    jobs.wait_training(name)
    jobs.kubectl.run("delete", "ej", name)
    selector = f"app.kubernetes.io/instance={name}"
    wait_until(lambda: jobs.kubectl.list("pods,services,secrets,networkpolicies", selector) == [], 60,
               "what belonged to the job to go")


def test_finished_job_goes_after_its_ttl(jobs):
    name = jobs.apply(manifest(fit_epochs=1, runPolicy_ttlSecondsAfterFinished=0))
    jobs.kubectl.wait_gone("ej", name, 120)
    assert jobs.history(name)["examples"] == [EXAMPLES_IN_DIGITS_CSV]


@pytest.mark.parametrize("policy, workers, phases", [
    ("All", 2, []),
    # A worker that still runs when the job is over is deleted, one that has ended is kept.
    ("Running", 2, ["Succeeded"]),
    # Of two the second may start when the first has done everything, and nobody stops it then.
    ("None", 1, ["Succeeded", "Succeeded"]),
])
def test_clean_pod_policy(jobs, policy, workers, phases):
    name = jobs.apply(manifest(fit_epochs=1, workers_replicas=workers, runPolicy_cleanPodPolicy=policy))
    jobs.wait_succeeded(name)
    wait_until(lambda: jobs.live_pods(name) == {}, 60, "no pod to run any more")
    if policy == "Running":
        # A deleted one is there, and Running, until its process has ended.
        wait_until(lambda: {pod["status"]["phase"] for pod in jobs.pods(name)} <= set(phases), 60,
                   "pods that were deleted to be gone")
    else:
        wait_until(lambda: [pod["status"]["phase"] for pod in jobs.pods(name)] == phases, 60, f"{len(phases)} pods")


@pytest.mark.parametrize("path, value, word", [
    ("/spec/mode", "hogwild", "mode"),
    ("/spec/data/partitions", 9, "data"),
    ("/spec/fit/epochs", 7, "fit"),
    ("/spec/parameterServers/replicas", 2, "parameterServers"),
    ("/spec/task", "predict", "task"),
])
def test_change_that_cannot_be_honoured_is_refused(jobs, path, value, word):
    name = jobs.apply(manifest(runPolicy_suspend=True))
    done = jobs.kubectl.try_run("patch", "ej", name, "--type=json", "-p",
                                json.dumps([{"op": "add", "path": path, "value": value}]))
    assert done.returncode != 0, done.stdout
    assert f"spec.{word}" in done.stderr and "cannot be changed" in done.stderr


@pytest.mark.parametrize("fields, word", [
    ({"mode": "sometimes"}, "mode"),
    ({"workers_replicas": -1}, "replicas"),
    ({"frequency": "fit", "mode": "asynchronous"}, "frequency"),
    ({"model": {}}, "model"),
    ({"optimizer": "sgd"}, "optimizer"),
    ({"compile": {"optimizer": "sgdd", "loss": "mse"}}, "optimizer"),
    ({"compile": {"loss": "mean_sqared_error"}}, "loss"),
])
def test_wrong_manifest_is_refused(jobs, fields, word):
    assert word in jobs.kubectl.refuse(manifest(**fields))


def test_what_only_the_parser_sees_is_a_condition(jobs):
    # To compare so many names with each other is beyond what CEL may cost.
    name = jobs.apply(manifest(data_features=[*(f"column-{number}" for number in range(300)), "column-7"]))
    failed = jobs.wait_failed(name)
    assert "'column-7' twice" in failed["message"]
    assert condition(jobs.get(name), "Failed")["observedGeneration"] == 1
