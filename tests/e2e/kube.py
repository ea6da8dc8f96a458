"""kubectl for tests: runs it, decodes what it prints, and waits for conditions."""

import json
import os
import subprocess

import pytest
from support import wait_until


class Kubectl:
    """kubectl in one namespace of a cluster."""

    def __init__(self, cluster, namespace="default"):
        self.cluster = cluster
        self.namespace = namespace

    def try_run(self, *arguments, input=None, timeout=60.0):
        """The finished process, whatever its exit status."""
        return subprocess.run(
            ["kubectl", "--namespace", self.namespace, *map(str, arguments)], text=True, capture_output=True,
            timeout=timeout, env=self.cluster.environment(),
            **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}))

    def run(self, *arguments, input=None, timeout=60.0):
        """What kubectl printed; it must succeed."""
        done = self.try_run(*arguments, input=input, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr}{done.stdout}"
        return done.stdout

    def apply(self, *objects):
        self.run("apply", "-f", "-", input=_stream(objects))

    def refuse(self, *objects):
        """Applies what must be refused, and gives the API server's words."""
        done = self.try_run("apply", "-f", "-", input=_stream(objects))
        assert done.returncode != 0, f"this was taken: {done.stdout}"
        return done.stderr

    def get(self, kind, name):
        """The object, or None if there is none."""
        done = self.try_run("get", kind, name, "--ignore-not-found", "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def list(self, kind, selector=""):
        return json.loads(self.run("get", kind, "-l", selector, "-o", "json"))["items"]

    def wait_for(self, kind, name, condition, timeout=60.0, what=None):
        """The object, as soon as condition(object) holds; never called without an object."""
        def look():
            seen = self.get(kind, name)
            return seen if seen is not None and condition(seen) else None

        try:
            return wait_until(look, timeout, what or f"{kind}/{name}")
        except pytest.fail.Exception:
            print(self.story())
            raise

    def wait_gone(self, kind, name, timeout=60.0):
        wait_until(lambda: self.get(kind, name) is None, timeout, f"{kind}/{name} to be gone")

    def story(self):
        """What a person would look at when something went wrong."""
        parts = []
        for command in (["get", "ej,pods,pvc", "-o", "wide"], ["get", "events", "--sort-by=.lastTimestamp"],
                        ["describe", "ej"]):
            done = self.try_run(*command)
            parts.append(f"$ kubectl {' '.join(command)}\n{done.stdout}{done.stderr}")
        for pod in json.loads(self.try_run("get", "pods", "-o", "json").stdout or '{"items": []}')["items"]:
            name = pod["metadata"]["name"]
            done = self.try_run("logs", name, "--all-containers", "--tail=15")
            parts.append(f"$ kubectl logs {name}\n{done.stdout}{done.stderr}")
        return "\n".join(parts)


def condition(item, kind):
    """A condition of an object by its type; {} while there is none."""
    return next((each for each in item.get("status", {}).get("conditions", []) if each["type"] == kind), {})


def is_true(kind):
    return lambda item: condition(item, kind).get("status") == "True"


def volume_folder(kubectl, claim):
    """Where on this machine a bound claim's files are."""
    bound = kubectl.wait_for("pvc", claim, lambda item: item.get("status", {}).get("phase") == "Bound")
    volume = kubectl.get("pv", bound["spec"]["volumeName"])
    return kubectl.cluster.layout.volumes / os.path.basename(volume["spec"]["hostPath"]["path"])


def _stream(objects):
    return "\n---\n".join(each if isinstance(each, str) else json.dumps(each) for each in objects)
