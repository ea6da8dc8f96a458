"""What must hold on a cluster after every deed: a pure function of what is known, what was done, and what is seen.

A problem is permanent, or one that must be gone after a while: things take time.
"""

import dataclasses

from kube import condition, is_true

EXAMPLES = 1437  # in digits.csv
CHECKPOINT_EVERY = 20  # epochs
# What a job may fall behind what it has told: the epochs since its newest checkpoint, those that it tells of before the
# next one is on disk included.
_MAY_BE_LOST = 5 * CHECKPOINT_EVERY
_DEATHS_ARE_TOLD = frozenset({"WorkerFailing", "ServerRestarting"})


@dataclasses.dataclass
class Slot:
    """What is known of the job in a slot, and what was done to it."""

    namespace: str
    name: str
    uid: str = ""
    epochs: int = 0
    backoff_limit: int = 0
    bad_reasons: frozenset = frozenset()  # one of these must be told; empty: a good job
    bad_stalls: bool = False
    suspended: bool = False
    may_vanish: bool = False  # after its time to live
    kills: int = 0  # of its containers, by us
    highest_epoch: int = 0
    finished: bool = False  # and the results were looked at

    def __str__(self):
        return f"{self.namespace}/{self.name} ({self.uid[:8]})"


@dataclasses.dataclass(frozen=True)
class Problem:
    permanent: bool
    about: str
    # Two problems of the same kind about the same thing are the same problem, whatever their words.
    text: str = dataclasses.field(compare=False)

    def __str__(self):
        return f"{self.about}: {self.text}"


def judge_job(slot, job, pods, disturbed):
    """Of a slot whose job is not deleted. `disturbed`: reasons for which the namespace has a cause now."""
    about = str(slot)
    if job is None:
        if not slot.may_vanish:
            yield Problem(True, f"{about}, gone", "the job is gone, and nobody deleted it")
        return
    failed, succeeded, stalled = (condition(job, kind) for kind in ("Failed", "Succeeded", "Stalled"))
    is_failed, is_succeeded = failed.get("status") == "True", succeeded.get("status") == "True"
    if is_failed and is_succeeded:
        yield Problem(True, f"{about}, end", "Succeeded and Failed at once")
    if is_failed and (why := _wrong_failure(slot, failed)):
        yield Problem(True, f"{about}, failure", why)
    if is_succeeded and slot.bad_reasons:
        yield Problem(True, f"{about}, success", f"a job that cannot run has succeeded; expected: {sorted(slot.bad_reasons)}")
    over = is_failed or is_succeeded
    if not over and stalled.get("status") == "True" and stalled.get("reason") not in _true_stalls(slot) | disturbed:
        yield Problem(False, f"{about}, stall", f"Stalled, {stalled.get('reason')}: {stalled.get('message')}")
    if not over and slot.bad_reasons and not slot.suspended and not (_told(job) & (slot.bad_reasons | disturbed)):
        yield Problem(False, f"{about}, silence", f"nothing is told of what is wrong; expected: {sorted(slot.bad_reasons)}")
    if slot.suspended and not over:
        if not is_true("Suspended")(job):
            yield Problem(False, f"{about}, suspension", "not Suspended")
        if pods:
            yield Problem(False, f"{about}, pods", f"suspended, and has pods {[name_of(pod) for pod in pods]}")
    if over and (running := [name_of(pod) for pod in pods if _is_live(pod)]):
        yield Problem(False, f"{about}, pods", f"finished, and pods still run: {running}")
    epoch = job.get("status", {}).get("epoch", 0)
    if epoch < slot.highest_epoch - _MAY_BE_LOST:
        yield Problem(True, f"{about}, epochs", f"it was at epoch {slot.highest_epoch}, and went back to {epoch}")


def _wrong_failure(slot, failed):
    """Why a failure is not for a true reason, else nothing."""
    reason, message = failed.get("reason"), failed.get("message")
    if slot.bad_reasons:
        true = reason in slot.bad_reasons and not slot.bad_stalls
    else:
        true = reason == "BackoffLimitExceeded" and slot.kills > slot.backoff_limit
    if true and message:
        return None
    return (f"Failed, {reason}: {message}; {slot.kills} of its containers were killed, backoffLimit {slot.backoff_limit}, "
            f"expected: {sorted(slot.bad_reasons) or 'success'}")


def _true_stalls(slot):
    return slot.bad_reasons | (_DEATHS_ARE_TOLD if slot.kills else frozenset())


def _told(job):
    """Reasons of conditions that say that something is in the way."""
    return {each.get("reason") for each in job.get("status", {}).get("conditions", [])
            if (each["type"], each["status"]) in (("Running", "False"), ("Stalled", "True"), ("Failed", "True"))}


def judge_history(slot, history):
    """The promise, of a job that has succeeded."""
    if history is None:
        yield Problem(True, f"{slot}, promise", "it has succeeded, and there is no history.json")
    elif history["examples"] != [EXAMPLES] * slot.epochs:
        wrong = [(epoch + 1, seen) for epoch, seen in enumerate(history["examples"]) if seen != EXAMPLES]
        yield Problem(True, f"{slot}, promise", f"history.json has {len(history['examples'])} epochs of {slot.epochs}; not of "
                      f"{EXAMPLES} examples: (epoch, examples) {wrong[:5]}")


def judge_pods(pods, job_uids):
    """Every pod of ours has a living owner, or goes."""
    for pod in pods:
        owners = {owner["uid"] for owner in pod["metadata"].get("ownerReferences", []) if owner["kind"] == "ElephasJob"}
        if not owners & job_uids and "deletionTimestamp" not in pod["metadata"]:
            yield Problem(False, f"pod {pod['metadata']['namespace']}/{name_of(pod)}", f"no job owns it; owners {sorted(owners)}")


def judge_operator(pods, kills, memory, limit):
    """`kills`: of containers, by the pod's uid; `memory`: resident bytes of each process."""
    if not any(is_true("Ready")(pod) for pod in pods):
        yield Problem(False, "operator", "none is ready")
    for pod in pods:
        for status in pod["status"].get("containerStatuses", []):
            ours = kills.get(pod["metadata"]["uid"], 0)
            if status["restartCount"] > ours:
                end = status.get("lastState", {}).get("terminated", {})
                yield Problem(True, f"operator {name_of(pod)}, restart {status['restartCount']}",
                              f"restarted {status['restartCount']} times, {ours} of them by us; it ended with "
                              f"{end.get('reason')}, exit code {end.get('exitCode')}")
    for size in memory:
        if size >= limit:
            yield Problem(True, "operator, memory", f"{size / 2**20:.0f} MiB resident, of {limit / 2**20:.0f} MiB")


def name_of(item):
    return item["metadata"]["name"]


def _is_live(pod):
    return pod["status"].get("phase") in ("Pending", "Running") and "deletionTimestamp" not in pod["metadata"]
