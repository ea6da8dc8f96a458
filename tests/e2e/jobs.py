"""ElephasJobs for tests: manifests, and what is asked of a job in a namespace."""

import copy
import json
import shutil

import yaml
from kube import condition, is_true, volume_folder
from support import wait_until

_DIGITS = {
    "apiVersion": "elephas.dev/v1alpha1",
    "kind": "ElephasJob",
    "metadata": {"name": "digits"},
    "spec": {
        "mode": "synchronous",
        "frequency": "epoch",
        "model": {"uri": "model.json"},
        "compile": {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.01}},
                    "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        "fit": {"epochs": 2, "batchSize": 32, "seed": 7},
        "data": {"uri": "digits.csv", "labels": ["label"], "partitions": 4},
        "workers": {"replicas": 2, "device": "cpu",
                    "template": {"spec": {"volumes": [
                        {"name": "data", "persistentVolumeClaim": {"claimName": "digits"}}]}}},
        "checkpoint": {"uri": "ckpt"},
        "output": {"uri": "out"},
    },
}
# Small pods find room beside each other on one node.
_REQUESTS = {"requests": {"cpu": "10m", "memory": "32Mi"}}

EXAMPLES_IN_DIGITS_CSV = 1437


def manifest(name="digits", **fields):
    """A small synchronous job; fields are dotted paths below spec with "_" for ".": fit_epochs=5.

    A job's own output and checkpoints are in a folder of its name.
    """
    job = copy.deepcopy(_DIGITS)
    job["metadata"]["name"] = name
    spec = job["spec"]
    spec["output"]["uri"] = f"{name}/out"
    spec["checkpoint"] = {"uri": f"{name}/ckpt", "every": {"epochs": 20}}
    template = spec["workers"]["template"]["spec"]
    template["containers"] = [{"name": "worker", "resources": copy.deepcopy(_REQUESTS)}]
    spec["parameterServers"] = {"template": {"spec": {"containers": [
        {"name": "paramserver", "resources": copy.deepcopy(_REQUESTS)}]}}}
    for path, value in fields.items():
        *parents, last = path.split("_")
        place = spec
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return job


def endless(name="digits", **fields):
    """A job that trains until something ends it."""
    return manifest(name, **{"fit_epochs": 1000000, **fields})


class Jobs:
    """The ElephasJobs of one namespace, with a claim `digits` that holds examples/digits."""

    def __init__(self, kubectl, folder):
        self.kubectl = kubectl
        self.folder = folder

    def apply(self, *jobs):
        self.kubectl.apply(*jobs)
        return jobs[0]["metadata"]["name"]

    def get(self, name):
        return self.kubectl.get("ej", name)

    def wait_for(self, name, met, timeout=60.0, what=None):
        return self.kubectl.wait_for("ej", name, met, timeout, what or f"job {name}")

    def wait_succeeded(self, name, timeout=120.0):
        job = self.wait_for(name, lambda item: is_true("Succeeded")(item) or is_true("Failed")(item), timeout,
                            f"job {name} to end")
        assert is_true("Succeeded")(job), f"{condition(job, 'Failed')}\n{self.kubectl.story()}"
        return job

    def wait_failed(self, name, timeout=90.0):
        return condition(self.wait_for(name, is_true("Failed"), timeout, f"job {name} to fail"), "Failed")

    def wait_training(self, name, epoch=1, timeout=90.0):
        """Until some epochs are done, so that there is something to lose."""
        return self.wait_for(
            name, lambda item: is_true("Running")(item) and item["status"].get("epoch", 0) >= epoch, timeout,
            f"job {name} to reach epoch {epoch}")

    def wait_checkpoint(self, name, timeout=90.0):
        """The same as seen on the volume: at once, while the status is some seconds and many epochs behind."""
        folder = self.folder / name / "ckpt"
        wait_until(lambda: any(folder.rglob("checkpoint-*")), timeout, f"job {name} to write a checkpoint")

    def wait_running_pods(self, name, component=None, count=1):
        """running_pods(), once there are so many."""
        def look():
            running = self.running_pods(name, component)
            return running if len(running) >= count else None

        return wait_until(look, 60, f"{count} pods of {name} to run")

    def wait_reason(self, name, kind, reason, timeout=60.0):
        """The condition, once it has that reason."""
        job = self.wait_for(name, lambda item: condition(item, kind).get("reason") == reason, timeout,
                            f"job {name} to have {kind} {reason}")
        return condition(job, kind)

    def pods(self, name, component=None):
        selector = f"app.kubernetes.io/instance={name},app.kubernetes.io/managed-by=elephas-operator"
        if component:
            selector += f",app.kubernetes.io/component={component}"
        return [pod for pod in self.kubectl.list("pods", selector)]

    def live_pods(self, name, component=None):
        """Those neither finished nor being deleted, by name."""
        return {pod["metadata"]["name"]: pod for pod in self.pods(name, component)
                if pod["status"].get("phase") in ("Pending", "Running") and "deletionTimestamp" not in pod["metadata"]}

    def running_pods(self, name, component=None):
        """Those whose container runs, by name; the phase stays Running for a while after its end."""
        return {key: pod for key, pod in self.live_pods(name, component).items()
                if any("running" in each["state"] for each in pod["status"].get("containerStatuses", []))}

    def history(self, name):
        return json.loads((self.folder / name / "out" / "history.json").read_text())

    def weights(self, name):
        return (self.folder / name / "out" / "model.safetensors").read_bytes()

    def kill_container(self, pod):
        """kill -9 of the process of a pod's container."""
        status = pod["status"]["containerStatuses"][0]
        container = status["containerID"].removeprefix("containerd://")
        done = self.kubectl.cluster.containerd("tasks", "kill", "--signal", "SIGKILL", container, capture_output=True,
                                               text=True)
        assert done.returncode == 0, done.stderr


def claim(name="digits", **spec):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, **spec}}


def prepare(kubectl, digits):
    """A bound claim with the example's files, and its folder on this machine."""
    kubectl.apply(claim())
    folder = volume_folder(kubectl, "digits")
    for path in digits.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return Jobs(kubectl, folder)


def run_locally(job, folder, bin_dir, processes):
    """Runs a manifest with local processes in a folder that holds the example's files."""
    path = folder / "local.yaml"
    path.write_text(yaml.safe_dump(job))
    process = processes(bin_dir / "elephas", "run", path, "--quiet")
    assert process.wait(120) == 0, process.output
    return folder / job["spec"]["output"]["uri"]
