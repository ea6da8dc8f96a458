"""`elephas run` with real processes that a test commands: start, death, restart, stop."""

import json
import os
import re
import signal
import stat

import pytest

from fake_job import alive


def test_a_job_that_succeeds(job):
    run = job.run("spec.workers.replicas=2", "spec.workers.threads=3")
    job.pid("worker-0"), job.pid("worker-1")
    job.epochs(1)
    run.wait_for_output(r"^Epoch 1/3 ")
    job.epochs(3, state="Succeeded", outputs=["/somewhere/model.safetensors"])
    assert run.wait() == 0, run.output
    assert run.stdout.splitlines() == [
        "faked: train, asynchronous, frequency epoch; 1 parameter server, 2 workers",
        "Epoch 1/3  100 examples in 0.5 s  loss 1.0000",
        "Epoch 2/3  100 examples in 0.5 s  loss 0.5000",
        "Epoch 3/3  100 examples in 0.5 s  loss 0.3333",
        run.stdout.splitlines()[-2],
        "  /somewhere/model.safetensors",
    ]
    assert re.fullmatch(r"faked: done in [\d.]+ m?i?n? ?[\d.]* ?s  loss 0\.3333", run.stdout.splitlines()[-2])
    assert run.stderr == ""
    job.expect_nothing_runs()
    assert list(job.temporary.iterdir()) == [], "the run's folder must be gone"
    for name in ("worker-0", "worker-1"):
        assert job.starts(name)[0]["environment"] == {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "passive"}


def test_programs_get_what_they_need(job):
    run = job.run("spec.parameterServers.replicas=2", arguments=("--lease-seconds", "1.5"))
    job.pid("worker-0"), job.pid("paramserver-1")
    job.status(state="Succeeded")
    assert run.wait() == 0, run.output
    (first,), (second,) = job.starts("paramserver-0"), job.starts("paramserver-1")
    (worker,) = job.starts("worker-0")
    assert first["arguments"]["base"] == str(job.folder)
    assert first["arguments"]["address"] == "127.0.0.1"
    assert first["arguments"]["port"] == "0"
    assert float(first["arguments"]["lease-seconds"]) == 1.5
    assert "resume" not in first["arguments"] and "coordinator" not in first["arguments"]
    assert second["arguments"]["coordinator"] == worker["arguments"]["server"]
    assert second["arguments"]["uid"] == first["arguments"]["uid"]
    groups = {start["group"] for start in (first, second, worker)}
    assert len(groups) == 3 and os.getpgid(0) not in groups


def test_the_run_folder_is_private_and_holds_document_and_logs(job, tmp_path):
    folder = tmp_path / "kept"
    run = job.run("spec.fit.epochs=7", arguments=("--run-dir", folder))
    job.pid("worker-0")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert len((folder / "token").read_text()) == 64
    document = json.loads((folder / "job.json").read_text())
    assert document["spec"]["fit"]["epochs"] == 7
    assert document["spec"]["data"]["partitions"] == 4
    job.status(state="Succeeded")
    assert run.wait() == 0, run.output
    assert not (folder / "token").exists()
    assert (folder / "worker-0.log").read_text() == "worker-0 is up\n"


def test_a_killed_worker_starts_again_under_its_name(job):
    run = job.run("spec.workers.replicas=2")
    first = job.pid("worker-1")
    os.kill(first, signal.SIGKILL)
    run.wait_for_output(r"^worker-1 was killed by signal 9 \(SIGKILL\); starting it again \(1 of 6\)$")
    second = job.pid("worker-1", other_than=first)
    os.kill(second, signal.SIGKILL)
    run.wait_for_output(r"\(2 of 6\)$")
    job.pid("worker-1", other_than=second)
    job.status(state="Succeeded")
    assert run.wait() == 0, run.output
    assert len(job.starts("worker-1")) == 3
    assert len({start["arguments"]["name"] for start in job.starts("worker-1")}) == 1
    assert len(job.starts("worker-0")) == 1


def test_a_killed_server_comes_back_at_its_address(job):
    run = job.run()
    job.pid("worker-0")
    first = job.pid("paramserver-0")
    os.kill(first, signal.SIGKILL)
    run.wait_for_output(r"^paramserver-0 was killed by signal 9 \(SIGKILL\); starting it again \(1 of 6\)$")
    job.pid("paramserver-0", other_than=first)
    job.status(state="Succeeded")
    assert run.wait() == 0, run.output
    before, after = job.starts("paramserver-0")
    (worker,) = job.starts("worker-0")
    assert worker["arguments"]["server"] == f"http://127.0.0.1:{after['arguments']['port']}"
    assert before["arguments"]["uid"] == after["arguments"]["uid"]


def test_a_worker_that_keeps_dying_fails_the_job_with_its_log(job):
    run = job.run("spec.runPolicy.backoffLimit=1")
    job.pid("worker-0")
    job.order_exit("worker-0", 7)
    run.wait_for_output(r"^worker-0 exited with code 7; starting it again \(1 of 1\)$")
    job.order_exit("worker-0", 7)
    assert run.wait() == 1
    lines = run.stderr.splitlines()
    assert lines[0] == (
        "elephas: faked failed: worker-0 exited with code 7; spec.runPolicy.backoffLimit allows 1 restarts "
        "(BackoffLimitExceeded)"
    )
    assert re.fullmatch(r"the end of .*/worker-0\.log:", lines[1])
    assert "  worker-0 was told to leave with 7" in lines
    (folder,) = job.temporary.iterdir()
    assert lines[-1] == f"all logs: {folder}"
    assert (folder / "paramserver-0.log").exists() and not (folder / "token").exists()
    job.expect_nothing_runs()


def test_the_servers_reason_is_told(job):
    run = job.run("spec.workers.replicas=3")
    job.pid("worker-2")
    job.status(state="Failed", reason="InvalidJob", message="digits.csv:18: 'x' is no number")
    assert run.wait() == 1
    assert run.stderr == "elephas: faked failed: digits.csv:18: 'x' is no number (InvalidJob)\n"
    job.expect_nothing_runs()
    assert list(job.temporary.iterdir()) == []


def test_a_server_that_cannot_start_fails_the_job_at_once(job):
    job.order_exit("paramserver-0", 1)
    run = job.run()
    assert run.wait() == 1
    assert "paramserver-0 exited with code 1 before it listened" in run.stderr
    assert "  paramserver-0 was told to leave with 1" in run.stderr
    assert job.starts("worker-0") == []


@pytest.mark.parametrize("number,code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_every_process(job, number, code):
    run = job.run("spec.workers.replicas=2", "spec.parameterServers.replicas=2")
    for name in ("worker-0", "worker-1", "paramserver-0", "paramserver-1"):
        job.pid(name)
    run.signal(number)
    assert run.wait() == code
    assert f"elephas: faked was stopped by {number.name}; every process of it has ended\n" in run.stderr
    assert not any(alive(pid) for pid in job.pids())
    assert list(job.temporary.iterdir()) == []


def test_a_second_ctrl_c_does_not_wait(job):
    (job.folder / "worker-0.stubborn").touch()
    run = job.run()
    worker = job.pid("worker-0")
    run.signal(signal.SIGINT)
    run.wait_for_output("stopping every process")
    assert alive(worker)
    run.signal(signal.SIGINT)
    assert run.wait(timeout=8) == 130
    assert not any(alive(pid) for pid in job.pids())


def test_a_stubborn_process_is_killed_after_the_grace(job):
    (job.folder / "worker-0.stubborn").touch()
    run = job.run()
    job.pid("worker-0")
    run.signal(signal.SIGTERM)
    assert run.wait(timeout=40) == 143
    assert not any(alive(pid) for pid in job.pids())


def test_nothing_outlives_a_killed_supervisor(job):
    run = job.run("spec.workers.replicas=2")
    job.pid("worker-0"), job.pid("worker-1")
    run.kill()
    job.expect_nothing_runs()


def test_a_job_that_runs_too_long_is_stopped(job):
    run = job.run("spec.runPolicy.activeDeadlineSeconds=1")
    job.pid("paramserver-0")
    assert run.wait() == 1
    assert "ran for longer than spec.runPolicy.activeDeadlineSeconds: 1 s (DeadlineExceeded)" in run.stderr
    job.expect_nothing_runs()


def test_json_is_all_there_is_on_standard_output(job):
    run = job.run(arguments=("--json",))
    first = job.pid("worker-0")
    os.kill(first, signal.SIGKILL)
    job.pid("worker-0", other_than=first)
    job.epochs(2, state="Succeeded", outputs=["/o/history.json"])
    assert run.wait() == 0, run.output
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert [event["event"] for event in events] == ["started", "serving", "restarted", "epoch", "epoch", "finished"]
    assert events[2]["process"] == "worker-0"
    assert events[-1]["metrics"] == {"loss": 0.5}
    assert events[-1]["history"]["examples"] == [100, 100]
    assert events[-1]["outputs"] == ["/o/history.json"]
    assert run.stderr == ""


def test_quiet_tells_only_the_result(job):
    run = job.run(arguments=("--quiet",))
    job.pid("worker-0")
    job.epochs(3, state="Succeeded", outputs=["/o/history.json"])
    assert run.wait() == 0, run.output
    assert re.fullmatch(r"faked: done in .*\n  /o/history\.json\n", run.stdout)


def test_a_closed_pipe_does_not_stop_the_job(job, processes, bin_dir):
    script = f'"{bin_dir}/elephas" run "{job.path}"; echo "exit code $?" >&2'
    shell = processes("sh", "-c", f"({script}) | true", env=job.environment())
    first = job.pid("worker-0")
    os.kill(first, signal.SIGKILL)  # its restart is told into the closed pipe
    job.pid("worker-0", other_than=first)
    job.epochs(3, state="Succeeded")
    assert shell.wait() == 0
    assert shell.stderr == "exit code 0\n"
