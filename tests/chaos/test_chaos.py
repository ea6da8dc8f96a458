"""The chaos run itself: that it is what its seed says, that it notices a promise that was broken, and a short one."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "integration"))

from plan import KINDS, SERVERS, SUPERVISOR, plan  # noqa: E402
from support import SLOWNESS  # noqa: E402
from workload import expected_counts, problems_of, write_job  # noqa: E402


def chaos(bin_dir, out, *arguments, timeout=280):
    """(exit status, what it printed, its summary)"""
    done = subprocess.run([sys.executable, FOLDER / "chaos.py", "--bin", bin_dir, "--out", out, *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout * SLOWNESS)
    return done.returncode, done.stdout + done.stderr, json.loads((out / "summary.json").read_text())


# --- plans --------------------------------------------------------------------------------------------


def test_a_plan_is_a_function_of_seed_and_number():
    assert [plan(7, number) for number in range(30)] == [plan(7, number) for number in range(30)]
    assert plan(7, 3) != plan(8, 3)
    assert plan(7, 3).kills != plan(7, 12).kills


def test_as_many_jobs_as_a_long_run_has_are_of_every_kind():
    plans = [plan(1, number) for number in range(60)]
    seen = {(job.task, job.mode, job.frequency, job.servers) for job in plans}
    assert seen == {(*kind, servers) for kind in KINDS for servers in SERVERS}
    assert {job.workers for job in plans} == {1, 2, 3, 4}
    assert {kill.when for job in plans for kill in job.kills} == {"progress", "birth", "checkpoint", "output"}
    victims = {name for job in plans for kill in job.kills for name in kill.victims}
    assert {SUPERVISOR, "worker-0", "worker-3", "paramserver-0", "paramserver-2"} <= victims


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_can_be_carried_out(seed):
    for number in range(60):
        job = plan(seed, number)
        there = {f"worker-{index}" for index in range(job.workers)} | {f"paramserver-{index}" for index in range(job.servers)}
        for kill in job.kills:
            assert kill.victims and (set(kill.victims) <= there or kill.victims == (SUPERVISOR,))
            assert SUPERVISOR not in kill.victims or job.checkpoint_every
            assert kill.when != "checkpoint" or job.checkpoint_every
        if not job.checkpoint_every:  # every death of a server costs all that was done
            assert sum(name.startswith("paramserver") for kill in job.kills for name in kill.victims) <= 2


# --- the verdict --------------------------------------------------------------------------------------


def job_of(kind, **changes):
    return dataclasses.replace(plan(1, KINDS.index(kind)), model="counter", examples=24, validation=0.0, epochs=10,
                               partitions=5, batch_size=2, **changes)


def write_results(job, folder, applied=None, examples=None):
    """The files of a job as its program would have written them."""
    out = folder / "out"
    out.mkdir(parents=True)
    applied = expected_counts(job) if applied is None else applied
    save_file({"counter/kernel": -np.asarray(applied, dtype=np.float32)[:, None]}, out / "model.safetensors")
    examples = [job.examples] * job.epochs if examples is None else examples
    (out / "history.json").write_text(json.dumps({"examples": examples, "loss": [1.0] * len(examples)}))
    return folder


TRAINING = [kind for kind in KINDS if kind[0] == "train"]


@pytest.mark.parametrize("kind", TRAINING)
def test_results_that_are_right_are_no_problem(tmp_path, kind):
    job = job_of(kind)
    folder = write_results(job, tmp_path / "killed")
    assert problems_of(job, folder, write_results(job, tmp_path / "undisturbed")) == []


@pytest.mark.parametrize("kind", TRAINING)
@pytest.mark.parametrize("more", [-1, 1])
def test_an_example_that_was_lost_or_repeated_once_is_a_problem(tmp_path, kind, more):
    job = job_of(kind)
    applied = expected_counts(job)
    applied[17] += more * applied[17] / job.epochs  # in one epoch of all
    folder = write_results(job, tmp_path / "killed", applied=applied)
    problems = problems_of(job, folder, write_results(job, tmp_path / "undisturbed"))
    assert any("1 of 24 examples" in problem and "(17, " in problem for problem in problems)


@pytest.mark.parametrize("examples, words", [
    ([24] * 4 + [23] + [24] * 5, "(5, 23)"),
    ([24] * 9, "9 epochs of 10"),
    ([24] * 11, "11 epochs of 10"),
])
def test_a_history_that_does_not_add_up_is_a_problem(tmp_path, examples, words):
    job = job_of(KINDS[0])
    problems = problems_of(job, write_results(job, tmp_path, examples=examples))
    assert any(words in problem for problem in problems)


def test_another_bit_is_a_problem(tmp_path):
    job = job_of(("train", "synchronous", "epoch"))
    applied = expected_counts(job).astype(np.float32)
    applied[3] = np.nextafter(applied[3], np.float32(100))
    folder = write_results(job, tmp_path / "killed", applied=applied)
    problem, = problems_of(job, folder, write_results(job, tmp_path / "undisturbed"))
    assert "not the bits" in problem


def test_results_that_are_not_there_are_a_problem(tmp_path):
    problem, = problems_of(job_of(KINDS[0]), tmp_path)
    assert "cannot be read" in problem


@pytest.mark.parametrize("task", ["evaluate", "predict"])
def test_a_row_that_is_missing_is_a_problem(tmp_path, task):
    job = dataclasses.replace(plan(1, [kind[0] for kind in KINDS].index(task)), examples=50)
    write_job(job, tmp_path / "job")
    data = np.load(tmp_path / "job" / "data.npz")
    rows = data["y"] - np.arange(1, 51, dtype=np.float32)[:, None]
    out = tmp_path / "job" / "out"
    out.mkdir()

    def problems(missing):
        errors = np.delete(np.arange(1, 51), missing)
        (out / "metrics.json").write_text(json.dumps({"loss": float(errors.mean())}))
        predicted = rows.copy()
        predicted[missing] += 1
        np.save(out / "predictions.npy", predicted)
        return problems_of(job, tmp_path / "job")

    assert problems([]) == []
    assert len(problems([7])) == 1


# --- runs ---------------------------------------------------------------------------------------------


def test_a_short_run_keeps_the_promise(tmp_path, bin_dir):
    status, output, summary = chaos(bin_dir, tmp_path / "chaos", "--kills", 10, "--seed", 20, "--minutes", 4)
    assert status == 0, output
    assert summary["seed"] == 20
    assert summary["killed"]["workers"] + summary["killed"]["servers"] >= 10
    assert list((tmp_path / "chaos").iterdir()) == [tmp_path / "chaos" / "summary.json"]


def test_failures_are_told_with_their_seed_and_do_not_end_the_run(tmp_path, bin_dir):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("elephas-worker", "elephas-paramserver"):
        (programs / name).symlink_to(bin_dir / name)
    elephas = programs / "elephas"
    elephas.write_text(f'#!/bin/sh\ncase "$*" in */job-1/*) exit 9 ;; esac\nexec {bin_dir}/elephas "$@"\n')
    elephas.chmod(0o755)
    status, output, summary = chaos(programs, tmp_path / "chaos", "--job", "1,2", "--seed", 3)
    assert status == 1
    assert summary["failed"] == [1] and summary["jobs"] == 2
    assert "again: make chaos SEED=3 JOB=1" in output
    assert (tmp_path / "chaos" / "job-1" / "report.json").exists()
    assert not (tmp_path / "chaos" / "job-2").exists()


def test_too_few_kills_in_the_time_are_a_failure(tmp_path, bin_dir):
    status, output, _ = chaos(bin_dir, tmp_path / "chaos", "--kills", 1000, "--minutes", 0)
    assert status == 1
    assert "only 0 of 1000 kills" in output
