"""elephas-paramserver as a program: its command line, its exit codes, its signals."""

import json
import re
import signal
import socket
import threading

import pytest
import requests

from rest_client import TOKEN, Worker, manifest
from support import wait_until


def test_it_writes_its_port_and_stops_on_sigterm(start_server):
    server = start_server()
    assert requests.get(server.url + "/healthz", timeout=10).json() == {"status": "ok"}
    server.process.signal(signal.SIGTERM)
    assert server.process.wait() == 0
    assert "stopping" in server.process.stderr


def test_it_stops_while_a_request_waits(start_server):
    server = start_server()
    worker = Worker(server)
    worker.initialise()
    replies = []

    def wait():
        replies.append(server.get("/v1/parameters?minVersion=9&wait=60", headers=worker.headers).status_code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    # The one that waits, and the one that asks.
    in_flight = re.compile(r"^elephas_paramserver_http_requests_in_flight\{[^}]*\} 2$", re.MULTILINE)
    wait_until(lambda: in_flight.search(server.get("/metrics").text), what="the request to wait")
    idle = socket.create_connection(("127.0.0.1", server.port))
    server.process.signal(signal.SIGINT)
    assert server.process.wait(20) == 0
    waiting.join()
    idle.close()
    assert replies == [503]


def test_a_port_in_use_is_named(start_server):
    server = start_server()
    second = start_server(port=server.port, wait=False)
    assert second.wait() == 1
    assert f"port {server.port} is in use" in second.stderr
    assert server.alive()


def test_a_checkpoint_folder_that_is_a_file_is_named(start_server, tmp_path):
    (tmp_path / "ckpt").write_text("not a folder")
    process = start_server(manifest(checkpoint={"uri": "ckpt"}), wait=False)
    assert process.wait() == 1
    assert "ckpt" in process.stderr


# A node was cut off, its server lives on, and its volume is mounted a second time.
@pytest.mark.parametrize("in_a_pod, status", [(False, 1), (True, 0)])
def test_a_server_whose_successor_has_started_ends_and_says_why(start_server, tmp_path, in_a_pod, status):
    document = manifest(checkpoint={"uri": "ckpt"})
    last_words = tmp_path / "termination-log"
    flags = ["--exit-when-done", "--termination-log", last_words] if in_a_pod else []
    old = start_server(document, *flags)
    successor = start_server(document)
    assert old.process.wait(30) == status
    assert "has taken over" in old.process.stderr
    assert successor.alive()
    assert requests.get(successor.url + "/readyz", timeout=10).ok
    if in_a_pod:
        assert json.loads(last_words.read_text())["reason"] == "Fenced"


def test_only_damaged_checkpoints_end_the_server_unless_it_may_start_over(start_server, tmp_path):
    folder = tmp_path / "ckpt" / "u-1"
    folder.mkdir(parents=True)
    damaged = [folder / f"checkpoint-{cut:08}-incarnation-5-shard-0-of-1.safetensors" for cut in (1, 2)]
    for file in damaged:
        file.write_text("damaged")
    last_words = tmp_path / "termination-log"
    process = start_server(manifest(checkpoint={"uri": "ckpt"}), "--termination-log", last_words, wait=False)
    assert process.wait() == 1
    said = json.loads(last_words.read_text())
    assert (said["state"], said["reason"]) == ("Failed", "CheckpointsDamaged")
    for text in (process.stderr, said["message"]):
        assert all(str(file) in text for file in damaged)
        assert "spec.checkpoint.resume: restart" in text
    assert all(file.exists() for file in damaged)
    server = start_server(manifest(checkpoint={"uri": "ckpt", "resume": "restart"}))
    assert [warning["reason"] for warning in server.get("/v1/status").json()["warnings"]][-1] == "StartedOver"


@pytest.mark.parametrize("uid", ["../other", "a/b", ".hidden", "two words"])
def test_a_uid_that_is_no_folders_name_ends_with_2(start_server, uid):
    process = start_server(manifest(checkpoint={"uri": "ckpt"}), uid=uid, wait=False)
    assert process.wait() == 2
    assert "uid" in process.stderr


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--index", "1"], "--coordinator"),
        (["--index", "1", "--coordinator", "http://127.0.0.1:1"], "servers 0 to 0"),
        (["--index", "-1"], "--index"),
        (["--port", "65536"], "--port"),
        (["--lease-seconds", "0"], "--lease-seconds"),
        (["--log-format", "xml"], "--log-format"),
        (["--nonsense"], "--nonsense"),
        (["--address", "not an address"], "not an address"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_usage_ends_with_2(start_server, flags, message):
    process = start_server(None, *flags, wait=False)
    assert process.wait() == 2
    assert message in process.stderr


def test_a_bad_manifest_ends_with_2_and_names_every_field(start_server):
    document = manifest(epochs=3)
    document["spec"]["fit"]["batchSize"] = 0
    process = start_server(document, wait=False)
    assert process.wait() == 2
    assert "spec.epochs" in process.stderr
    assert "spec.fit.batchSize" in process.stderr


def test_a_missing_manifest_or_token_ends_with_2(processes, bin_dir, tmp_path):
    job = tmp_path / "job.json"
    token = tmp_path / "token"
    flags = ["--job", job, "--uid", "u", "--token-file", token]
    for named in (job, token):
        process = processes(bin_dir / "elephas-paramserver", *flags)
        assert process.wait() == 2
        assert named.name in process.stderr
        job.write_text(json.dumps(manifest()))
    for text in ("", "\n", "two words", "zwölf"):
        token.write_text(text)
        assert processes(bin_dir / "elephas-paramserver", *flags).wait() == 2


def test_help_explains_the_flags(processes, bin_dir):
    process = processes(bin_dir / "elephas-paramserver", "--help")
    assert process.wait() == 0
    for flag in ("--job", "--port-file", "--coordinator", "ELEPHAS_TOKEN_FILE"):
        assert flag in process.stdout


def test_flags_may_come_from_the_environment(processes, bin_dir, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps(manifest()))
    (tmp_path / "token").write_text(TOKEN)
    process = processes(
        bin_dir / "elephas-paramserver",
        env={
            "ELEPHAS_JOB_FILE": str(tmp_path / "job.json"),
            "ELEPHAS_JOB_UID": "u",
            "ELEPHAS_TOKEN_FILE": str(tmp_path / "token"),
            "ELEPHAS_ADDRESS": "127.0.0.1",
            "ELEPHAS_LOG_FORMAT": "json",
        },
    )
    match = process.wait_for_output(r'"event":"listening".*"port":(\d+)')
    assert requests.get(f"http://127.0.0.1:{match[1]}/readyz", timeout=10).ok
