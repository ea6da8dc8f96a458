"""Logs as in pods: one JSON object per event, fields called as the metrics' labels, no secrets, and why a job failed
in the log of one process."""

import json
import pathlib
import re
import shutil

import pytest

# What a line may say beside the event itself; the first row are labels of metrics as well.
FIELDS = {
    *("job", "role", "worker", "task", "epoch", "partition", "server", "incarnation", "version", "state"),
    *("time", "level", "event", "reason", "message", "port", "uid", "parameters", "bytes", "seconds", "signal", "cut"),
    *("generation", "rank", "world", "collective", "variable"),
}


@pytest.fixture
def run(processes, bin_dir, source_dir, tmp_path):
    """Runs the digits example with these fields set; (exit status, {process: its lines}, the job's token)."""

    def start(*settings):
        for name in ("job.yaml", "model.json", "digits.csv"):
            shutil.copy(source_dir / "examples" / "digits" / name, tmp_path)
        process = processes(
            *(bin_dir / "elephas", "run", tmp_path / "job.yaml", "--json", "--run-dir", tmp_path / "run"),
            *(argument for setting in settings for argument in ("--set", f"spec.{setting}")),
            env={"ELEPHAS_LOG_FORMAT": "json"},
        )
        serving = json.loads(process.wait_for_output(r'^.*"event":"serving".*$', timeout=60).group(0))
        token = pathlib.Path(serving["tokenFile"]).read_text().strip()
        status = process.wait(120)
        assert token not in process.stdout and token not in process.stderr
        logs = {path.stem: path.read_text().splitlines() for path in (tmp_path / "run").glob("*.log")}
        return status, {name: [json.loads(line) for line in lines] for name, lines in logs.items()}, token

    return start


def check(logs, token):
    assert set(logs) == {"paramserver-0", "worker-0", "worker-1"}
    for name, lines in logs.items():
        for line in lines:
            assert {"time", "level", "role", "event"} <= set(line), line
            assert set(line) <= FIELDS, line
            assert line["role"] == name.rsplit("-", 1)[0]
            assert line["level"] in ("info", "warning", "error")
            assert token not in json.dumps(line)
    assert all(line["job"] == "digits" for line in logs["paramserver-0"])


def test_a_run_that_succeeds(run):
    status, logs, token = run("fit.epochs=2", "checkpoint.uri=ckpt")
    assert status == 0
    check(logs, token)
    events = [line["event"] for line in logs["paramserver-0"]]
    assert events.count("checkpoint written") == 2
    assert "job succeeded" in events
    joined = {line["worker"] for line in logs["paramserver-0"] if line["event"] == "worker joined"}
    assert joined == {"worker-0", "worker-1"}


def test_why_a_job_failed_is_in_the_log_of_server_0(run):
    status, logs, token = run("compile.optimizer.config.learning_rate=1.0e+30", "fit.epochs=50")
    assert status == 1
    check(logs, token)
    errors = [line for line in logs["paramserver-0"] if line["level"] == "error"]
    told = next(line for line in errors if line["event"] == "worker failed")
    assert told["worker"] in ("worker-0", "worker-1")
    assert told["reason"] == "WorkerError"
    assert re.search(r"the loss became .* in epoch \d+, partition \d+, batch \d+", told["message"])
    (failed,) = [line for line in errors if line["event"] == "job failed"]
    assert (failed["reason"], failed["message"]) == (told["reason"], told["message"])
