"""The soak without a cluster: that its deeds are what the seed says, and that it notices what must not be."""

import json
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "e2e"))

from deeds import _WEIGHTS, BAD_FIELDS, BAD_TEMPLATES, SLOTS, deeds  # noqa: E402
from invariants import Slot, judge_history, judge_job, judge_operator, judge_pods  # noqa: E402
from world import World, _manifest  # noqa: E402

MIB = 2**20


# --- deeds --------------------------------------------------------------------------------------------


def test_deeds_are_a_function_of_the_seed_and_a_longer_list_begins_like_a_shorter_one():
    assert deeds(3, 200) == deeds(3, 200)
    assert deeds(3, 200)[:50] == deeds(3, 50)
    assert deeds(3, 50) != deeds(4, 50)
    assert [deed.number for deed in deeds(3, 200)] == list(range(1, 201))


def test_deeds_are_of_all_kinds():
    some = [deed for seed in range(3) for deed in deeds(seed, 200)]
    kinds = {deed.kind for deed in some}
    assert kinds == (set(_WEIGHTS) - {"share a checkpoint folder", "suspend or resume"}) | {"suspend", "resume"}
    assert {deed.details["wrong"] for deed in some if "wrong" in deed.details} == {*BAD_TEMPLATES, *BAD_FIELDS}


def test_two_jobs_that_share_a_folder_of_checkpoints_come_together():
    jobs = [deed for deed in deeds(1, 400) if deed.kind == "create" and deed.details["job"]["checkpoint"].startswith("shared-")]
    assert jobs
    for first, second in zip(jobs[::2], jobs[1::2]):
        assert first.details["job"]["checkpoint"] == second.details["job"]["checkpoint"]
        assert first.slot != second.slot and first.slot[0] == second.slot[0] and second.number == first.number + 1


@pytest.mark.parametrize("seed", range(20))
def test_every_deed_can_be_carried_out(seed):
    suspended, good = set(), set()
    for deed in deeds(seed, 200):
        assert hasattr(World, "_" + deed.kind.replace("-", "_").replace(" ", "_"))
        assert deed.slot is None or deed.slot in SLOTS
        if deed.kind in ("create", "bad template", "bad manifest", "re-create", "delete"):
            suspended.discard(deed.slot)
            (good.add if deed.kind in ("create", "re-create") else good.discard)(deed.slot)
        elif deed.slot:
            assert deed.slot in good
        if deed.kind in ("suspend", "resume"):
            assert (deed.slot in suspended) == (deed.kind == "resume")
            (suspended.add if deed.kind == "suspend" else suspended.discard)(deed.slot)


def test_the_plan_can_be_read_without_a_cluster():
    done = subprocess.run([sys.executable, FOLDER / "soak.py", "--plan", "--seed", "2", "--actions", "40"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(deed) for deed in deeds(2, 40)]


JOB = {"mode": "synchronous", "epochs": 9, "workers": 2, "servers": 1, "backoffLimit": 3, "checkpoint": "job-1"}


def validate(bin_dir, tmp_path, document):
    path = tmp_path / "job.json"
    path.write_text(json.dumps(document))
    return subprocess.run([bin_dir / "elephas", "validate", path], capture_output=True, text=True)


def test_good_jobs_are_good(bin_dir, tmp_path):
    for mode in ("synchronous", "asynchronous", "hogwild"):
        done = validate(bin_dir, tmp_path, _manifest("job-1", {**JOB, "mode": mode}))
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("wrong", sorted(BAD_FIELDS))
def test_bad_manifests_are_bad(bin_dir, tmp_path, wrong):
    document = _manifest("job-1", JOB)
    document["spec"].update(BAD_FIELDS[wrong])
    assert validate(bin_dir, tmp_path, document).returncode == 2


# --- invariants ---------------------------------------------------------------------------------------


def slot(**fields):
    return Slot("soak-red", "job-1", **{"uid": "u-1", "epochs": 9, "backoff_limit": 3, **fields})


def job(*conditions, epoch=0):
    """conditions: (type, status, reason)"""
    return {"metadata": {"name": "job-1", "uid": "u-1"}, "status": {"epoch": epoch, "conditions": [
        {"type": kind, "status": status, "reason": reason, "message": "why"} for kind, status, reason in conditions]}}


def pod(phase="Running", owner="u-1", restarts=0, ready="True", **metadata):
    return {"metadata": {"name": "pod-1", "namespace": "soak-red", "uid": "p-1",
                         "ownerReferences": [{"kind": "ElephasJob", "uid": owner}], **metadata},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}],
                       "containerStatuses": [{"restartCount": restarts}]}}


def failed(reason):
    return job(("Failed", "True", reason), ("Running", "False", "Finished"), ("Stalled", "True", reason))


def stalled(reason):
    return job(("Running", "False", reason), ("Stalled", "True", reason))


SUCCEEDED = job(("Succeeded", "True", "JobSucceeded"), ("Failed", "False", "NotFinished"), epoch=9)
TRAINING = job(("Running", "True", "Training"), ("Stalled", "False", "NothingToDo"), epoch=2)
WRONG = frozenset({"TemplateInvalid"})

# what it is -> (slot, job, pods, disturbances of the namespace, words of its problem: none when there is no problem)
JOBS = {
    "a job that trains": (slot(), TRAINING, [pod()], (), None),
    "a job that has succeeded": (slot(), SUCCEEDED, [pod("Succeeded")], (), None),
    "a good job that has failed": (slot(), failed("NameTaken"), [], (), "NameTaken"),
    "one that has failed by our kills": (slot(kills=4), failed("BackoffLimitExceeded"), [], (), None),
    "one that has failed by fewer": (slot(kills=3), failed("BackoffLimitExceeded"), [], (), "3 of its containers"),
    "one that a limit range has failed": (slot(), failed("PodInvalid"), [], ("PodRefused",), "PodInvalid"),
    "a bad job that has failed": (slot(bad_reasons=WRONG), failed("TemplateInvalid"), [], (), None),
    "one for another reason": (slot(bad_reasons=WRONG), failed("StartFailed"), [], (), "StartFailed"),
    "one that has succeeded": (slot(bad_reasons=WRONG), SUCCEEDED, [], (), "cannot run has succeeded"),
    "one of which nothing is told": (slot(bad_reasons=WRONG), job(), [], (), "nothing is told"),
    "one that trains": (slot(bad_reasons=WRONG), TRAINING, [pod()], (), "nothing is told"),
    "an obstacle that is told": (slot(bad_reasons=frozenset({"Unschedulable"}), bad_stalls=True), stalled("Unschedulable"), [], (), None),
    "an obstacle that has ended the job": (slot(bad_reasons=frozenset({"Unschedulable"}), bad_stalls=True), failed("Unschedulable"),
                                           [], (), "Failed, Unschedulable"),
    "a good job without room": (slot(), stalled("Unschedulable"), [], (), "Stalled, Unschedulable"),
    "one that the quota hinders": (slot(), stalled("QuotaExceeded"), [], ("QuotaExceeded",), None),
    "one that a quota hinders that has gone": (slot(), stalled("QuotaExceeded"), [], (), "Stalled, QuotaExceeded"),
    "a suspended job": (slot(suspended=True), job(("Suspended", "True", "JobSuspended")), [], (), None),
    "one that has pods": (slot(suspended=True), job(("Suspended", "True", "JobSuspended")), [pod()], (), "has pods"),
    "one that does not say so": (slot(suspended=True), TRAINING, [], (), "not Suspended"),
    "a finished job whose pod runs": (slot(), SUCCEEDED, [pod()], (), "pods still run"),
    "a job that is gone": (slot(), None, [], (), "nobody deleted it"),
    "one whose time was over": (slot(may_vanish=True), None, [], (), None),
    "a job that is both": (slot(kills=9), job(("Failed", "True", "BackoffLimitExceeded"), ("Succeeded", "True", "JobSucceeded")), [], (),
                           "at once"),
    "a job that went on from its checkpoint": (slot(highest_epoch=300), job(epoch=260), [], (), None),
    "a job that started over": (slot(highest_epoch=300), job(epoch=3), [], (), "went back to 3"),
}


@pytest.mark.parametrize("what", sorted(JOBS))
def test_job(what):
    known, seen, pods, disturbed, words = JOBS[what]
    problems = [problem.text for problem in judge_job(known, seen, pods, frozenset(disturbed))]
    assert (words is None and problems == []) or any(words in problem for problem in problems), problems


@pytest.mark.parametrize("history, words", [
    ({"examples": [1437] * 9}, None),
    ({"examples": [1437] * 8}, "8 epochs of 9"),
    ({"examples": [1437] * 8 + [1436]}, "(9, 1436)"),
    (None, "no history.json"),
])
def test_promise(history, words):
    problems = [problem.text for problem in judge_history(slot(), history)]
    assert (words is None and problems == []) or words in problems[0]


def test_a_pod_without_a_living_owner_is_a_problem_until_it_goes():
    assert list(judge_pods([pod()], {"u-1"})) == []
    assert list(judge_pods([pod(deletionTimestamp="now")], set())) == []
    problem, = judge_pods([pod(owner="u-2")], {"u-1"})
    assert "u-2" in problem.text and not problem.permanent


def test_operator():
    assert list(judge_operator([pod(restarts=2)], {"p-1": 2}, [20 * MIB], 128 * MIB)) == []
    problem, = judge_operator([pod(restarts=3)], {"p-1": 2}, [20 * MIB], 128 * MIB)
    assert "restarted 3 times, 2 of them by us" in problem.text and problem.permanent
    problem, = judge_operator([pod()], {}, [128 * MIB], 128 * MIB)
    assert "128 MiB" in problem.text
    problem, = judge_operator([pod(ready="False")], {}, [], 128 * MIB)
    assert problem.text == "none is ready"
