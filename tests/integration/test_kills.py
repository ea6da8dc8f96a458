"""kill -9 while a job runs: workers, parameter servers, at moments drawn from a seed, many times."""

import os
import random
import signal
import time

import numpy as np
import pytest
from job import children, counting_job, counts, events, history
from support import wait_until
from test_same_bits import classifier_job, result_of

EXAMPLES = 96
# Of batches of one example: seconds, so that a job is killed several times in its middle even where the test itself
# is kept waiting.
EPOCHS = {"batch": 60, "epoch": 400}


def kill_while_running(process, victims, kills, seed):
    """After each of `kills` epochs that were seen to end, kills one child of a program in `victims`."""
    choose = random.Random(seed)
    killed = []

    def epochs_seen():
        return sum(event["event"] == "epoch" for event in events(process.stdout))

    for number in range(kills):
        seen = epochs_seen()
        wait_until(
            lambda: epochs_seen() > seen or process.popen.poll() is not None, 60, "another epoch"
        )
        # Epochs are told at their end; the kill is to come anywhere.
        time.sleep(choose.uniform(0, 0.1))
        if process.popen.poll() is not None:
            break
        program = victims[number % len(victims)]
        alive = children(process.pid).get(program, [])
        if not alive:
            continue
        victim = choose.choice(alive)
        os.kill(victim, signal.SIGKILL)
        killed.append((program, victim))
    return killed


def slow_counting_job(folder, mode, frequency, **fields):
    return counting_job(
        folder,
        EXAMPLES,
        mode=mode,
        frequency=frequency,
        fit={"epochs": EPOCHS[frequency], "batchSize": 1, "seed": 5},
        data_partitions=6,
        workers_replicas=2,
        runPolicy={"backoffLimit": 40},
        **fields,
    )


ASYNCHRONOUS = [(m, f) for m in ("asynchronous", "hogwild") for f in ("batch", "epoch")]


@pytest.mark.parametrize("mode,frequency", ASYNCHRONOUS)
@pytest.mark.parametrize(
    "victims,checkpoint",
    [
        (["elephas-worker"], None),
        (["elephas-worker", "elephas-paramserver"], {"uri": "ckpt", "every": {"epochs": 2}}),
    ],
    ids=["workers", "workers and server"],
)
def test_no_example_is_lost_or_repeated(tmp_path, elephas, mode, frequency, victims, checkpoint):
    fields = {"checkpoint": checkpoint} if checkpoint else {}
    path = slow_counting_job(tmp_path, mode, frequency, **fields)
    process = elephas("run", path, "--json")
    killed = kill_while_running(process, victims, kills=5, seed=f"{mode}{frequency}{victims}")
    assert process.wait(120) == 0, process.output
    assert {program for program, _ in killed} == set(victims)
    np.testing.assert_array_equal(counts(tmp_path), np.full(EXAMPLES, EPOCHS[frequency]))
    assert history(tmp_path)["examples"] == [EXAMPLES] * EPOCHS[frequency]
    restarted = [event for event in events(process.stdout) if event["event"] == "restarted"]
    assert len(restarted) >= len(killed) - 1  # the last one may have been killed after its work was done


def test_a_server_without_checkpoints_starts_the_job_over(tmp_path, elephas):
    path = slow_counting_job(tmp_path, "asynchronous", "epoch")
    process = elephas("run", path, "--json")
    killed = kill_while_running(process, ["elephas-paramserver"], kills=1, seed=1)
    assert process.wait(120) == 0, process.output
    assert killed
    np.testing.assert_array_equal(counts(tmp_path), np.full(EXAMPLES, EPOCHS["epoch"]))
    assert history(tmp_path)["examples"] == [EXAMPLES] * EPOCHS["epoch"]


@pytest.mark.parametrize("frequency", ["batch", "epoch"])
@pytest.mark.parametrize("servers", [1, 2])
def test_synchronous_weights_are_the_same_bits_after_kills(tmp_path, run, elephas, frequency, servers):
    job = {"frequency": frequency, "workers": 2, "servers": servers}
    more = ["--set", "spec.fit.epochs=40", "--set", "spec.fit.batchSize=2"]
    undisturbed = result_of(tmp_path / "undisturbed", run, *more, **job)

    folder = tmp_path / "killed"
    folder.mkdir()
    path = classifier_job(
        folder,
        checkpoint={"uri": "ckpt", "every": {"epochs": 1}},
        runPolicy={"backoffLimit": 40},
        **job,
    )
    process = elephas("run", path, "--json", *more)
    killed = kill_while_running(process, ["elephas-worker", "elephas-paramserver"], kills=4, seed=frequency)
    assert process.wait(120) == 0, process.output
    assert killed
    assert (folder / "out" / "model.safetensors").read_bytes() == undisturbed
    examples = history(folder)["examples"]
    assert examples == [examples[0]] * 40


def test_a_killed_run_is_continued_with_resume(tmp_path, elephas, run):
    path = slow_counting_job(
        tmp_path, "asynchronous", "epoch", checkpoint={"uri": "ckpt", "every": {"epochs": 1}}
    )
    process = elephas("run", path, "--json")
    wait_until(lambda: sum(e["event"] == "epoch" for e in events(process.stdout)) >= 3, 60, "3 epochs")
    first = next(e for e in events(process.stdout) if e["event"] == "epoch")
    wait_until(lambda: list((tmp_path / "ckpt").rglob("*.safetensors")), 60, "a checkpoint")
    family = [pid for pids in children(process.pid).values() for pid in pids]
    process.kill()
    # The programs it started die with it.
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in family), 10, "the family's end")
    assert not (tmp_path / "out" / "history.json").exists()
    finished = run(path, "--resume", "--json")
    np.testing.assert_array_equal(counts(tmp_path), np.full(EXAMPLES, EPOCHS["epoch"]))
    assert history(tmp_path)["examples"] == [EXAMPLES] * EPOCHS["epoch"]
    told = [event for event in events(finished.stdout) if event["event"] == "epoch"]
    assert len(told) <= EPOCHS["epoch"]
    # It did not start over: what it tells of the first epoch is what the killed run measured.
    assert told[0]["seconds"] == first["seconds"]
