"""The cluster as the soak sees it: carries out deeds, and looks at what has become of them."""

import json
import re
import signal
import time

import jobs as e2e_jobs
from deeds import BAD_FIELDS, BAD_TEMPLATES, NAMESPACES
from invariants import CHECKPOINT_EVERY, Slot, judge_history, judge_job, judge_operator, judge_pods, name_of
from kube import Kubectl, condition, is_true

OPERATOR_NAMESPACE = "elephas-system"
_OURS = "app.kubernetes.io/managed-by=elephas-operator"
# What kubectl says while the API server is away; it is asked again.
_AWAY = re.compile(r"connection refused|connection reset|EOF|TLS handshake|i/o timeout|ServiceUnavailable|etcdserver|"
                   r"apiserver not ready|context deadline exceeded|unable to handle the request|Unable to connect|"
                   r"server is currently unable|http2: client connection lost|failed: reason withheld", re.IGNORECASE)
_AWAY_SECONDS = 120
_VICTIM_SECONDS = 20
_QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "soak"}, "spec": {"hard": {"pods": "2"}}}
# Less memory than a worker asks for by itself, and more than it takes.
_LIMIT_RANGE = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "soak"},
                "spec": {"limits": [{"type": "Container", "default": {"memory": "224Mi"}}]}}


class DeedFailed(Exception):
    """What a deed met is not what it must meet."""


class Tenant:
    """A namespace with a claim that holds the example's files."""

    def __init__(self, cluster, name, digits):
        self.kubectl = Kubectl(cluster, name)
        self.jobs = e2e_jobs.prepare(self.kubectl, digits)
        self.quota = self.limit_range = False

    @property
    def disturbed(self):
        """Reasons that the namespace gives every job's pods now."""
        return frozenset(({"QuotaExceeded"} if self.quota else set()) |
                         ({"PodRefused", "QuotaExceeded", "WorkerOutOfMemory"} if self.limit_range else set()))


class World:
    def __init__(self, cluster, digits):
        self._cluster = cluster
        self._system = Kubectl(cluster, OPERATOR_NAMESPACE)
        self._tenants = {name: Tenant(cluster, name, digits) for name in NAMESPACES}
        self._slots = {}  # (namespace, name) -> Slot, of jobs that are there
        self._operator_kills = {}  # uid of a pod -> kills
        self._memory_limit = self._operators_memory_limit()

    # --- kubectl ----------------------------------------------------------------------------------------

    def _ask(self, kubectl, *arguments, input=None):
        """The finished kubectl; asked again while the API server is away."""
        deadline = time.monotonic() + _AWAY_SECONDS
        while True:
            done = kubectl.try_run(*arguments, input=input, timeout=_AWAY_SECONDS)
            if done.returncode == 0 or not _AWAY.search(done.stderr) or time.monotonic() > deadline:
                return done
            time.sleep(0.2)

    def _must(self, kubectl, *arguments, input=None):
        done = self._ask(kubectl, *arguments, input=input)
        if done.returncode != 0:
            raise DeedFailed(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def _list(self, kubectl, kind, selector=None):
        arguments = ["-l", selector] if selector else []
        return json.loads(self._must(kubectl, "get", kind, *arguments, "-o", "json"))["items"]

    def _get(self, kubectl, kind, name):
        text = self._must(kubectl, "get", kind, name, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    # --- deeds ------------------------------------------------------------------------------------------

    def carry_out(self, deed):
        """Says what happened, in a few words, where that is not clear from the deed."""
        method = getattr(self, "_" + deed.kind.replace("-", "_").replace(" ", "_"))
        return method(deed)

    def _create(self, deed):
        return self._make(deed, _manifest(deed.slot[1], deed.details["job"]))

    def _bad_template(self, deed):
        wrong = BAD_TEMPLATES[deed.details["wrong"]]
        job = _manifest(deed.slot[1], deed.details["job"])
        template = job["spec"]["workers"]["template"]["spec"]
        for key, value in wrong.spec.items():
            if key == "containers" and isinstance(value, list):
                template["containers"][0].update(value[0])
            else:
                template[key] = value
        return self._make(deed, job, wrong.reasons, wrong.stalls)

    def _bad_manifest(self, deed):
        job = _manifest(deed.slot[1], deed.details["job"])
        job["spec"].update(BAD_FIELDS[deed.details["wrong"]])
        return self._make(deed, job, frozenset({"InvalidSpec"}))

    def _make(self, deed, job, bad_reasons=frozenset(), bad_stalls=False):
        """In the place of what is in the slot, whose pods nobody waits for."""
        kubectl = self._tenants[deed.slot[0]].kubectl
        self._slots.pop(deed.slot, None)
        self._must(kubectl, "delete", "ej", deed.slot[1], "--ignore-not-found", "--wait=false")
        # JSON's own limits are not kubectl apply's: its annotation would not hold the larger ones.
        done = self._ask(kubectl, "create", "-f", "-", input=json.dumps(job))
        if done.returncode != 0:
            if not bad_reasons:
                raise DeedFailed(f"a good job was refused: {done.stderr.strip()}")
            return "refused"
        self._remember(deed.slot, job, bad_reasons, bad_stalls)
        return None

    def _remember(self, place, job, bad_reasons=frozenset(), bad_stalls=False):
        there = self._get(self._tenants[place[0]].kubectl, "ej", place[1])
        if there is None:
            raise DeedFailed("what was just made is not there")
        self._slots[place] = Slot(*place, uid=there["metadata"]["uid"], epochs=job["spec"]["fit"]["epochs"],
                                  backoff_limit=job["spec"]["runPolicy"]["backoffLimit"], bad_reasons=bad_reasons,
                                  bad_stalls=bad_stalls)

    def _re_create(self, deed):
        """Again and again the same, as pipelines do it."""
        kubectl = self._tenants[deed.slot[0]].kubectl
        job = _manifest(deed.slot[1], deed.details["job"])
        for _ in range(deed.details["times"]):
            self._slots.pop(deed.slot, None)
            self._must(kubectl, "delete", "ej", deed.slot[1], "--ignore-not-found", "--wait=false")
            self._must(kubectl, "apply", "-f", "-", input=json.dumps(job))
            self._remember(deed.slot, job)

    def _delete(self, deed):
        self._slots.pop(deed.slot, None)
        self._must(self._tenants[deed.slot[0]].kubectl, "delete", "ej", deed.slot[1], "--ignore-not-found",
                   f"--cascade={deed.details['cascade']}")

    def _patch(self, deed, spec):
        """The finished kubectl, or None when the job has gone after its time to live."""
        kubectl = self._tenants[deed.slot[0]].kubectl
        done = self._ask(kubectl, "patch", "ej", deed.slot[1], "--type=merge", "-p", json.dumps({"spec": spec}))
        slot = self._slots.get(deed.slot)
        if "NotFound" in done.stderr and (slot is None or slot.may_vanish):
            self._slots.pop(deed.slot, None)
            return None
        return done

    def _change(self, deed, spec):
        done = self._patch(deed, spec)
        if done is not None and done.returncode != 0:
            raise DeedFailed(f"an edit that is allowed was refused: {done.stderr.strip()}")
        return self._slots.get(deed.slot) if done is not None else None

    def _scale(self, deed):
        self._change(deed, {"workers": {"replicas": deed.details["replicas"]}})

    def _suspend(self, deed):
        if slot := self._change(deed, {"runPolicy": {"suspend": True}}):
            slot.suspended = True

    def _resume(self, deed):
        if slot := self._change(deed, {"runPolicy": {"suspend": False}}):
            slot.suspended = False

    def _edit(self, deed):
        policy = deed.details["runPolicy"]
        slot = self._change(deed, {"runPolicy": policy})
        if slot is None:
            return
        slot.backoff_limit = min(slot.backoff_limit, policy.get("backoffLimit", slot.backoff_limit))
        slot.may_vanish |= "ttlSecondsAfterFinished" in policy

    def _forbidden_edit(self, deed):
        field, value = deed.details["field"]
        done = self._patch(deed, {field: value})
        if done is None:
            return "it has gone"
        if done.returncode == 0:
            if "no change" in done.stdout:
                return "it is so already"
            raise DeedFailed(f"spec.{field} of a job was changed to {value}")
        if field not in done.stderr:
            raise DeedFailed(f"the refusal does not name spec.{field}: {done.stderr.strip()}")
        return None

    def _victim(self, deed):
        """(tenant, slot, a running pod of the job), or None when there is none soon."""
        tenant, slot = self._tenants[deed.slot[0]], self._slots.get(deed.slot)
        deadline = time.monotonic() + _VICTIM_SECONDS
        while slot and not slot.finished and not slot.suspended:
            selector = (f"{_OURS},app.kubernetes.io/instance={slot.name},elephas.dev/job-uid={slot.uid},"
                        f"app.kubernetes.io/component={deed.details['component']}")
            running = sorted((pod for pod in self._list(tenant.kubectl, "pods", selector) if _runs(pod)), key=name_of)
            if running:
                return tenant, slot, running[deed.details["pick"] % len(running)]
            if time.monotonic() > deadline or _is_over(self._get(tenant.kubectl, "ej", slot.name)):
                return None
            time.sleep(0.1)
        return None

    def _kill_a_container(self, deed):
        found = self._victim(deed)
        if found is None:
            return "nothing runs"
        _, slot, pod = found
        if not self._kill(pod):
            return f"{name_of(pod)} has just ended"
        slot.kills += 1
        return name_of(pod)

    def _kill(self, pod):
        """kill -9 of what runs in a pod's container."""
        container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        done = self._cluster.containerd("tasks", "kill", "--signal", "SIGKILL", container, capture_output=True, text=True)
        return done.returncode == 0

    def _delete_a_pod(self, deed):
        found = self._victim(deed)
        if found is None:
            return "nothing runs"
        tenant, _, pod = found
        self._must(tenant.kubectl, "delete", "pod", name_of(pod), "--ignore-not-found", "--wait=false")
        return name_of(pod)

    def _operator_pods(self):
        """Those that are not on their way out."""
        return [pod for pod in self._list(self._system, "pods", "app.kubernetes.io/instance=elephas")
                if "deletionTimestamp" not in pod["metadata"]]

    def _an_operator(self, leader):
        lease = self._list(self._system, "leases")
        holder = lease[0]["spec"].get("holderIdentity", "") if lease else ""
        running = sorted((pod for pod in self._operator_pods() if _runs(pod)), key=name_of)
        chosen = [pod for pod in running if holder.startswith(name_of(pod)) == leader]
        return (chosen or running or [None])[0]

    def _kill_an_operator(self, deed):
        pod = self._an_operator(deed.details["leader"])
        if pod is None or not self._kill(pod):
            return "none runs"
        uid = pod["metadata"]["uid"]
        self._operator_kills[uid] = self._operator_kills.get(uid, 0) + 1
        return name_of(pod)

    def _delete_an_operator(self, deed):
        pod = self._an_operator(deed.details["leader"])
        if pod is None:
            return "none runs"
        self._must(self._system, "delete", "pod", name_of(pod), "--wait=false")
        return name_of(pod)

    def _kill_a_daemon(self, deed):
        self._cluster.signal_daemon(deed.details["name"], signal.SIGKILL)
        # Its keeper starts it again; what asks it meanwhile asks again.
        self._must(self._system, "get", "--raw", "/readyz")

    def _toggle(self, tenant, attribute, item):
        on = not getattr(tenant, attribute)
        if on:
            self._must(tenant.kubectl, "apply", "-f", "-", input=json.dumps(item))
        else:
            self._must(tenant.kubectl, "delete", item["kind"], name_of(item), "--ignore-not-found")
        setattr(tenant, attribute, on)
        return "on" if on else "off"

    def _quota(self, deed):
        return self._toggle(self._tenants[deed.details["namespace"]], "quota", _QUOTA)

    def _limit_range(self, deed):
        return self._toggle(self._tenants[deed.details["namespace"]], "limit_range", _LIMIT_RANGE)

    # --- what is seen -----------------------------------------------------------------------------------

    def problems(self):
        """All that does not hold now."""
        found = []
        for tenant in self._tenants.values():
            found += self._tenant_problems(tenant)
        pods = self._operator_pods()
        found += judge_operator(pods, self._operator_kills, self._memory(pods), self._memory_limit)
        return found

    def _tenant_problems(self, tenant):
        # Pods first: the owner of a pod that is seen is older than the pod.
        pods = self._list(tenant.kubectl, "pods", _OURS)
        jobs = {job["metadata"]["uid"]: job for job in self._list(tenant.kubectl, "ej")}
        yield from judge_pods(pods, set(jobs))
        for place, slot in list(self._slots.items()):
            if place[0] != tenant.kubectl.namespace:
                continue
            job = jobs.get(slot.uid)
            if job is None and slot.may_vanish:
                del self._slots[place]
                continue
            own = [pod for pod in pods if pod["metadata"]["labels"].get("elephas.dev/job-uid") == slot.uid]
            yield from judge_job(slot, job, own, tenant.disturbed)
            if job is not None:
                yield from self._look_at_progress(tenant, slot, job)

    def _look_at_progress(self, tenant, slot, job):
        slot.highest_epoch = max(slot.highest_epoch, job.get("status", {}).get("epoch", 0))
        if slot.finished:
            return
        if is_true("Succeeded")(job):
            # Only this job's: whoever follows it in its slot is made by a later deed.
            path = tenant.jobs.folder / slot.name / "out" / "history.json"
            yield from judge_history(slot, json.loads(path.read_text()) if path.exists() else None)
        slot.finished = _is_over(job)

    def _operators_memory_limit(self):
        pod, *_ = self._operator_pods()
        text = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
        return int(re.fullmatch(r"(\d+)Mi", text)[1]) * 2**20

    def _memory(self, pods):
        """Resident bytes of each operator's process."""
        table = self._cluster.containerd("tasks", "ls", capture_output=True, text=True).stdout
        pids = {line.split()[0]: line.split()[1] for line in table.splitlines()[1:] if len(line.split()) >= 3}
        sizes = []
        for pod in pods:
            for status in pod["status"].get("containerStatuses", []):
                pid = pids.get(status.get("containerID", "").removeprefix("containerd://"))
                seen = self._cluster.inside("cat", f"/proc/{pid}/status", capture_output=True, text=True).stdout if pid else ""
                if match := re.search(r"VmRSS:\s+(\d+) kB", seen):  # not when it has just ended
                    sizes.append(int(match[1]) * 1024)
        return sizes

    # --- the end ----------------------------------------------------------------------------------------

    def clear_the_way(self):
        """Nothing hinders any job any more."""
        for tenant in self._tenants.values():
            for attribute, item in (("quota", _QUOTA), ("limit_range", _LIMIT_RANGE)):
                if getattr(tenant, attribute):
                    self._toggle(tenant, attribute, item)
        for place, slot in self._slots.items():
            if slot.suspended:
                self._must(self._tenants[place[0]].kubectl, "patch", "ej", slot.name, "--type=merge", "-p",
                           '{"spec": {"runPolicy": {"suspend": false}}}')
                slot.suspended = False

    def unfinished(self):
        """Good jobs that have not come to their end."""
        return [str(slot) for slot in self._slots.values() if not slot.bad_reasons and not slot.finished]

    def epochs_done(self):
        return sum(slot.highest_epoch for slot in self._slots.values())

    def delete_all(self):
        for tenant in self._tenants.values():
            self._must(tenant.kubectl, "delete", "ej", "--all", "--wait=false")
        self._slots.clear()

    def left_behind(self):
        return [f"{tenant.kubectl.namespace}: {item['kind']} {name_of(item)}" for tenant in self._tenants.values()
                for item in self._list(tenant.kubectl, "ej,pods,services,secrets,networkpolicies", None)
                if item["kind"] == "ElephasJob" or item["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by")
                == "elephas-operator"]

    def evidence(self):
        """What a person would look at."""
        parts = [tenant.kubectl.story() for tenant in self._tenants.values()]
        logs = ["logs", "-l", "app.kubernetes.io/instance=elephas", "--prefix", "--tail=400"]
        for arguments in (["get", "pods", "-o", "wide"], logs, [*logs, "--previous"], ["describe", "pods"]):
            done = self._system.try_run(*arguments)
            parts.append(f"$ kubectl {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return "\n".join(parts)


def _manifest(name, job):
    """A job of tests/e2e, its output in a folder of its slot."""
    fields = {"mode": job["mode"], "frequency": "epoch", "fit_epochs": job["epochs"], "workers_replicas": job["workers"],
              "checkpoint_uri": f"{job['checkpoint']}/ckpt", "checkpoint_every": {"epochs": CHECKPOINT_EVERY},
              "runPolicy_backoffLimit": job["backoffLimit"]}
    document = e2e_jobs.manifest(name, **fields)
    document["spec"]["parameterServers"]["replicas"] = job["servers"]
    for role in ("workers", "parameterServers"):
        # Room for all of them beside each other; what memory they ask for is the operator's own default.
        for container in document["spec"][role]["template"]["spec"]["containers"]:
            container["resources"] = {"requests": {"cpu": "10m"}}
    return document


def _runs(pod):
    return ("deletionTimestamp" not in pod["metadata"] and
            any("running" in each["state"] for each in pod["status"].get("containerStatuses", [])))


def _is_over(job):
    return job is None or any(condition(job, kind).get("status") == "True" for kind in ("Succeeded", "Failed"))
