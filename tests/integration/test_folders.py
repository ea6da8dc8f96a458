"""Folders that several jobs name: checkpoints stay with the job that wrote them, an output folder has one writer."""

import hashlib
import os
import random
import signal
import time

import numpy as np
import pytest
from job import children, counting_job, counts, events, history
from support import wait_until

EXAMPLES = 48
LONG = {"epochs": 150, "batchSize": 1, "seed": 5}
FOREVER = {"epochs": 1_000_000, "batchSize": 1}


def job(tmp_path, name, **fields):
    """A counting job in a folder of its own."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    fields = {"fit": LONG, "data_partitions": 4, "workers_replicas": 2, **fields}
    return counting_job(folder, EXAMPLES, mode="asynchronous", frequency="epoch", **fields)


def with_checkpoints(tmp_path, **fields):
    return {"checkpoint": {"uri": str(tmp_path / "ckpt"), "every": {"epochs": 1}, **fields}}


def started(process):
    return wait_until(
        lambda: next((e for e in events(process.stdout) if e["event"] == "started"), None), 60, "the start")


def epochs_seen(process):
    return sum(event["event"] == "epoch" for event in events(process.stdout))


def files_below(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*") if path.is_file()
    }


def kill_a_child(process, program, choose):
    alive = children(process.pid).get(program, [])
    if alive:
        os.kill(choose.choice(alive), signal.SIGKILL)
    return bool(alive)


def kill_with_family(process):
    family = [pid for pids in children(process.pid).values() for pid in pids]
    process.kill()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in family), 10, "the family's end")


@pytest.mark.parametrize("servers", [1, 2])
def test_two_jobs_on_one_checkpoint_folder_both_go_on_after_kills(tmp_path, elephas, servers):
    fields = {**with_checkpoints(tmp_path), "runPolicy": {"backoffLimit": 40}, "parameterServers_replicas": servers}
    jobs = [elephas("run", job(tmp_path, name, **fields), "--json", name=name) for name in ("a", "b")]
    choose = random.Random(servers)
    for number in range(6):
        process = jobs[number % 2]
        seen = epochs_seen(process)
        wait_until(lambda: epochs_seen(process) > seen or process.popen.poll() is not None, 60, "another epoch")
        time.sleep(choose.uniform(0, 0.05))
        if process.popen.poll() is None:
            kill_a_child(process, "elephas-paramserver" if number < 4 else "elephas-worker", choose)
    for name, process in zip("ab", jobs):
        assert process.wait(120) == 0, process.output
        np.testing.assert_array_equal(counts(tmp_path / name), np.full(EXAMPLES, LONG["epochs"]))
        assert history(tmp_path / name)["examples"] == [EXAMPLES] * LONG["epochs"]
        uid = started(process)["uid"]
        last = f"checkpoint-{LONG['epochs']:08}-"
        assert len(list((tmp_path / "ckpt" / uid).glob(last + "*"))) == servers
        # A server that went back to the start would have told the first epoch again.
        told = [event["epoch"] for event in events(process.stdout) if event["event"] == "epoch"]
        assert told.count(1) == 1


def test_resume_continues_the_run_started_last_and_says_which(tmp_path, elephas, run):
    uids = []
    for name in ("a", "b"):
        process = elephas("run", job(tmp_path, name, **with_checkpoints(tmp_path)), "--json", name=name)
        uids.append(started(process)["uid"])
        folder = tmp_path / "ckpt" / uids[-1]
        wait_until(lambda: list(folder.glob("*.safetensors")), 60, "a checkpoint")
        kill_with_family(process)
    before = {uid: files_below(tmp_path / "ckpt" / uid) for uid in uids}
    finished = run(tmp_path / "b" / "job.yaml", "--resume", "--json", name="resumed")
    notes = [event for event in events(finished.stdout) if event["event"] == "condition"]
    assert [note["reason"] for note in notes] == ["Resumed"]
    assert f"continuing run {uids[1]} after epoch" in notes[0]["message"]
    np.testing.assert_array_equal(counts(tmp_path / "b"), np.full(EXAMPLES, LONG["epochs"]))
    assert {uid: files_below(tmp_path / "ckpt" / uid) for uid in uids} == before


def test_without_resume_other_runs_are_told_and_left_alone(tmp_path, run):
    first = run(job(tmp_path, "a", fit={"epochs": 3, "seed": 5}, **with_checkpoints(tmp_path)), "--json")
    uid = started(first)["uid"]
    before = files_below(tmp_path / "ckpt" / uid)
    second = run(job(tmp_path, "b", fit={"epochs": 3, "seed": 5}, **with_checkpoints(tmp_path)), name="second")
    assert "ForeignCheckpoints" in second.output and uid in second.output
    assert "spec.checkpoint.resume: latest" in second.output
    np.testing.assert_array_equal(counts(tmp_path / "b"), np.full(EXAMPLES, 3))
    assert files_below(tmp_path / "ckpt" / uid) == before


def test_a_second_running_job_does_not_get_the_output_folder(tmp_path, elephas, run):
    output = {"output": {"uri": str(tmp_path / "out")}}
    first = elephas("run", job(tmp_path, "a", fit=FOREVER, **output), "--json", name="first")
    wait_until(lambda: epochs_seen(first) > 0, 60, "an epoch")
    before = files_below(tmp_path / "out")
    second = elephas("run", job(tmp_path, "b", **output), name="second")
    assert second.wait(60) == 1, second.output
    assert "OutputInUse" in second.output
    assert started(first)["uid"] in second.output and str(tmp_path / "out") in second.output
    assert files_below(tmp_path / "out") == before
    # Killed at once, it leaves its claim behind, which stops nobody.
    kill_with_family(first)
    assert files_below(tmp_path / "out")
    run(job(tmp_path, "b", fit={"epochs": 2}, **output), name="third")
    assert sorted(map(str, files_below(tmp_path / "out"))) == ["history.json", "model.keras", "model.safetensors"]
    # The results of a job that is over may be replaced.
    run(job(tmp_path, "a", fit={"epochs": 2}, **output), name="fourth")


def test_a_job_whose_checkpoints_are_all_damaged_fails_and_names_them(tmp_path, elephas, run):
    path = job(tmp_path, "a", fit=FOREVER, **with_checkpoints(tmp_path))
    process = elephas("run", path, "--json")
    folder = tmp_path / "ckpt" / started(process)["uid"]
    wait_until(lambda: list(folder.glob("*.safetensors")), 60, "a checkpoint")
    kill_with_family(process)
    whole = sorted(folder.glob("*.safetensors"))
    for file in whole:
        os.truncate(file, 100)
    refused = elephas("run", path, "--resume", "--set", "spec.fit.epochs=3", name="refused")
    assert refused.wait(60) == 1, refused.output
    assert "CheckpointsDamaged" in refused.output and str(whole[-1]) in refused.output
    assert "spec.checkpoint.resume" in refused.output
    run(path, "--set", "spec.fit.epochs=3", "--set", "spec.checkpoint.resume=restart", name="again")
    np.testing.assert_array_equal(counts(tmp_path / "a"), np.full(EXAMPLES, 3))
