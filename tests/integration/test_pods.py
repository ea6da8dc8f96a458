"""The programs as a pod runs them: nobody supervises, the server ends by itself, SIGTERM gives leases back."""

import json
import os
import signal
import subprocess
import urllib.request

import pytest
from job import counting_job, counts
from support import wait_until

TOKEN = "a-token-of-this-test"


@pytest.fixture
def pods(tmp_path, bin_dir, processes):
    """start(job) -> (server, start_worker, status), and last_words() -> what the server left behind."""
    token, port_file, last_words = tmp_path / "token", tmp_path / "port", tmp_path / "termination-log"
    token.write_text(TOKEN + "\n")
    last_words.write_text("")

    def start(job, *more):
        server = processes(
            bin_dir / "elephas-paramserver", "--job", job, "--uid", "1", "--base", tmp_path, "--address", "127.0.0.1",
            "--port", "0", "--port-file", port_file, "--token-file", token,
            "--termination-log", last_words, *(more or ["--exit-when-done"]), name="server")
        port = wait_until(lambda: port_file.exists() and port_file.read_text().strip(), 30, "the server's port")
        url = f"http://127.0.0.1:{port}"

        def start_worker(name):
            return processes(bin_dir / "elephas-worker", "--server", url, "--name", name, "--base", tmp_path,
                             "--token-file", token, name=name)

        def status():
            request = urllib.request.Request(f"{url}/v1/status", headers={"Authorization": f"Bearer {TOKEN}"})
            with urllib.request.urlopen(request, timeout=10) as reply:
                return json.load(reply)

        return server, start_worker, status

    return start, lambda: json.loads(last_words.read_text())


def test_server_ends_with_the_job_and_leaves_its_numbers(tmp_path, pods):
    start, last_words = pods
    server, start_worker, _ = start(counting_job(tmp_path, 8, fit_epochs=2))
    assert start_worker("worker-0").wait() == 0
    assert server.wait() == 0
    said = last_words()
    assert said["state"] == "Succeeded"
    assert said["epoch"] == said["epochs"] == 2
    assert said["progress"] == 1
    assert said["metrics"]["loss"] > 0
    assert any(each.endswith("model.safetensors") for each in said["outputs"])
    assert (counts(tmp_path) == 2).all()


def test_server_stays_until_every_worker_that_came_knows(tmp_path, pods):
    start, _ = pods
    server, start_worker, status = start(
        counting_job(tmp_path, 64, fit={"epochs": 400, "batchSize": 1}, data_partitions=4))
    first = start_worker("worker-0")
    wait_until(lambda: any(each["lease"] for each in status()["workers"]), 60, "worker-0 to hold a lease")
    # A worker that comes after the end finds no server, so the job stands still until the second one is known.
    first.signal(signal.SIGSTOP)
    second = start_worker("worker-1")
    wait_until(lambda: len(status()["workers"]) == 2, 60, "worker-1 to come")
    first.signal(signal.SIGCONT)
    assert [first.wait(120), second.wait(120)] == [0, 0]
    assert server.wait() == 0
    assert (counts(tmp_path) == 400).all()


def test_a_worker_that_comes_when_all_is_done_touches_nothing(tmp_path, pods):
    start, _ = pods
    # The server stays, as it does for a while to tell everybody.
    _, start_worker, status = start(counting_job(tmp_path, 8, fit_epochs=2), "--log-level", "info")
    assert start_worker("worker-0").wait() == 0
    assert status()["state"] == "Succeeded"
    # The next job has the folders by now.
    (tmp_path / "data.npz").unlink()
    claim = tmp_path / "out" / ".elephas-owner-1.json"
    claim.write_text(json.dumps({"uid": "2", "name": "next", "namespace": "", "host": "here", "boot": "", "made": []}))
    before = sorted((tmp_path / "out").iterdir())
    assert start_worker("worker-1").wait() == 0
    assert sorted((tmp_path / "out").iterdir()) == before
    assert (counts(tmp_path) == 2).all()


def test_server_of_a_failed_job_says_why(tmp_path, pods):
    start, last_words = pods
    job = counting_job(tmp_path, 8, fit_epochs=2)
    (tmp_path / "data.npz").unlink()
    server, start_worker, _ = start(job)
    assert start_worker("worker-0").wait() == 3
    assert server.wait() == 0
    said = last_words()
    assert said["state"] == "Failed"
    assert said["reason"] == "InvalidJob"
    assert "data.npz" in said["message"]


def test_a_worker_that_is_told_to_end_gives_its_leases_back_at_once(tmp_path, pods):
    start, last_words = pods
    # Long enough to be in the middle of; a lease lasts 15 s, far longer than the other worker takes for the rest.
    server, start_worker, status = start(
        counting_job(tmp_path, 64, fit={"epochs": 400, "batchSize": 1}, data_partitions=4))
    first = start_worker("worker-0")

    def works():
        return any(each["lease"] for each in status()["workers"])

    wait_until(works, 60, "worker-0 to hold a lease")
    first.signal(signal.SIGTERM)
    assert first.wait() == 128 + signal.SIGTERM
    left = status()["workers"]
    assert [(each["name"], each["state"], each["lease"]) for each in left] == [("worker-0", "Lost", None)]
    second = start_worker("worker-1")
    assert second.wait(120) == 0
    assert server.wait() == 0
    assert last_words()["state"] == "Succeeded"
    assert (counts(tmp_path) == 400).all()


def test_a_server_that_is_told_to_end_says_how_far_it_was(tmp_path, pods):
    start, last_words = pods
    server, _, _ = start(counting_job(tmp_path, 8))
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert last_words()["state"] == "Initializing"


@pytest.fixture
def read_only(tmp_path):
    """A volume that nobody can write."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a tmpfs: " + mounted.stderr.decode())
    yield folder
    subprocess.run(["umount", folder], check=True)


# It trained for hours towards an output that could never be written.
def test_an_output_that_cannot_be_written_fails_the_job_before_it_trains(tmp_path, pods, read_only):
    start, last_words = pods
    server, start_worker, _ = start(counting_job(tmp_path, 8, output={"uri": str(read_only / "out")}))
    assert start_worker("worker-0").wait() == 3
    assert server.wait() == 0
    said = last_words()
    assert (said["state"], said["reason"], said["version"]) == ("Failed", "OutputNotWritable", 0)
    for part in (str(read_only / "out"), "Read-only file system", f"user {os.geteuid()}", "fsGroup", "subPath"):
        assert part in said["message"]
    assert list(read_only.iterdir()) == []


def test_checkpoints_that_cannot_be_written_fail_the_job_at_once(tmp_path, pods, read_only, bin_dir, processes):
    _, last_words = pods
    path = counting_job(tmp_path, 8, checkpoint={"uri": str(read_only / "ckpt")})
    server = processes(
        bin_dir / "elephas-paramserver", "--job", path, "--uid", "1", "--base", tmp_path, "--address", "127.0.0.1",
        "--port", "0", "--token-file", tmp_path / "token", "--exit-when-done",
        "--termination-log", tmp_path / "termination-log")
    assert server.wait() == 1
    said = last_words()
    assert (said["state"], said["reason"]) == ("Failed", "CheckpointNotWritable")
    for part in (str(read_only / "ckpt"), "Read-only file system", f"user {os.geteuid()}", "fsGroup", "subPath"):
        assert part in said["message"]
