"""How the operator fares with many jobs, and how soon it acts: reported, not judged by a clock."""

import json
import statistics
import subprocess
import threading
import time

from jobs import endless
from support import wait_until

_JOBS = 100
# What the operator may take for all of these, from the project's own limit.
_MEMORY_LIMIT = 30e6
_DEATHS = 5


def _operator_memory(operator_pods, cluster):
    """Resident bytes of each operator process."""
    sizes = []
    for pod in operator_pods():
        container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        tasks = cluster.containerd("tasks", "ls", capture_output=True, text=True).stdout
        pid = next(line.split()[1] for line in tasks.splitlines() if line.startswith(container))
        status = cluster.inside("cat", f"/proc/{pid}/status", capture_output=True, text=True).stdout
        sizes.append(int(status.split("VmRSS:")[1].split()[0]) * 1024)
    return sizes


def test_memory_with_many_jobs(jobs, operator_pods, cluster):
    """Their pods ask for more than the node has, so that the operator alone has work."""
    many = []
    for index in range(_JOBS):
        job = endless(f"many-{index}")
        container, = job["spec"]["parameterServers"]["template"]["spec"]["containers"]
        container["resources"] = {"requests": {"cpu": "1000"}}
        many.append(job)
    jobs.apply(*many)

    def all_told():
        listed = json.loads(jobs.kubectl.run("get", "ej", "-o", "json"))["items"]
        return sum(1 for job in listed for each in job.get("status", {}).get("conditions", [])
                   if each.get("reason") == "Unschedulable") >= _JOBS

    wait_until(all_told, 180, "all jobs to have a status")
    sizes = _operator_memory(operator_pods, cluster)
    print(f"operator memory with {_JOBS} jobs: {[f'{size / 1e6:.1f} MB' for size in sizes]}")
    jobs.kubectl.run("delete", "ej", "--all", timeout=180)
    assert max(sizes) < _MEMORY_LIMIT


class _Watch:
    """Events of pods with the time at which they came, from a watch of our own beside the operator's."""

    def __init__(self, kubectl):
        self._process = subprocess.Popen(
            ["kubectl", "--namespace", kubectl.namespace, "get", "pods", "--watch", "--output-watch-events", "-o",
             "json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=kubectl.cluster.environment())
        self.events = []  # (time, type, pod)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        for line in self._process.stdout:  # one event each
            at, event = time.monotonic(), json.loads(line)
            self.events.append((at, event["type"], event["object"]))

    def first(self, condition):
        """The time of the first event for which condition(type, pod) holds."""
        return wait_until(lambda: next((at for at, kind, pod in list(self.events) if condition(kind, pod)), None), 60,
                          "an event")

    def stop(self):
        self._process.terminate()
        self._process.wait()
        self._thread.join()


def _has_died(name):
    def condition(_, pod):
        states = pod["status"].get("containerStatuses", [])
        return pod["metadata"]["name"] == name and any("terminated" in each["state"] for each in states)

    return condition


def test_time_from_death_to_replacement(jobs):
    """From the moment at which the API server tells of a death, to its telling of the replacement."""
    name = jobs.apply(endless(runPolicy_backoffLimit=100))
    jobs.wait_training(name)
    watch = _Watch(jobs.kubectl)
    took = []
    try:
        for _ in range(_DEATHS):
            victim = next(iter(jobs.wait_running_pods(name, "worker").values()))
            known = {pod["metadata"]["name"] for pod in jobs.pods(name)}
            jobs.kill_container(victim)
            died = watch.first(_has_died(victim["metadata"]["name"]))
            replaced = watch.first(lambda _, pod, known=known: pod["metadata"]["name"] not in known)
            took.append(replaced - died)
    finally:
        watch.stop()
    print(f"from a worker's death to its replacement: median {statistics.median(took) * 1000:.0f} ms, "
          f"all {[f'{each * 1000:.0f}' for each in took]}")
    jobs.kubectl.run("delete", "ej", name, "--wait=false")
