"""A whole job by a worker that knows nothing but docs/openapi.yaml."""

import numpy
import safetensors.numpy

from rest_client import LAYOUT, PARAMETERS, TOKEN, Worker, manifest, parse_safetensors
from support import wait_until


def finish_job(worker):
    """Works until the job is over: each task subtracts 1 from every parameter."""
    tasks = []
    while True:
        reply = worker.train_one(numpy.ones(6))
        if reply["state"] != "leased":
            return tasks, reply
        lease = reply["lease"]
        tasks.append((lease["task"], lease["epoch"], lease["partition"]))
        if lease["task"] == "finalize":
            worker.finish(lease, outputs=["out/model.safetensors"])


def test_a_job_is_trained_to_its_end(server):
    worker = Worker(server)
    assert worker.joined["initialised"] is False
    assert worker.joined["seed"] == 42
    assert worker.joined["servers"] == [server.url]
    worker.initialise()
    tasks, end = finish_job(worker)
    assert end == {"state": "succeeded"}
    # Who comes now is told at once that there is nothing to load.
    late = Worker(worker.server, "late")
    assert late.joined["over"] is True and worker.joined["over"] is False
    assert sorted(tasks) == [("finalize", 0, 0)] + [("train", e, p) for e in range(2) for p in range(2)]
    history = server.get("/v1/history").json()
    assert history["examples"] == [20, 20]
    assert history["loss"] == [0.5, 0.5]
    status = server.get("/v1/status").json()
    assert status["state"] == "Succeeded"
    assert status["version"] == 4
    assert status["outputs"] == ["out/model.safetensors"]
    parameters, version = worker.pull()
    assert version == 4
    assert (parameters == PARAMETERS - 4).all()


def test_the_model_opens_with_the_safetensors_library(server):
    worker = Worker(server)
    worker.initialise()
    weights = safetensors.numpy.load(server.get("/v1/model.safetensors").content)
    assert (weights["dense/kernel"] == PARAMETERS[:4].reshape(2, 2)).all()
    assert (weights["bn/mean"] == PARAMETERS[4:]).all()


def test_a_repeated_push_is_answered_and_not_applied(server):
    worker = Worker(server)
    worker.initialise()
    lease = worker.lease()["lease"]
    update = worker.update(lease, 0)
    first = worker.push(update, numpy.ones(6))
    assert first.json() == {"outcome": "applied", "version": 1}
    assert first.headers["Elephas-Outcome"] == "applied"
    again = worker.push(update, numpy.ones(6))
    assert again.json() == {"outcome": "duplicate", "version": 1}
    with_parameters = worker.push(update, numpy.ones(6), query="?return=parameters")
    assert with_parameters.headers["Elephas-Outcome"] == "duplicate"
    tensors, metadata = parse_safetensors(with_parameters.content)
    assert (tensors["parameters"] == PARAMETERS - 1).all()
    assert metadata["version"] == "1"


def test_a_push_may_bring_the_new_parameters_back(server):
    worker = Worker(server)
    worker.initialise()
    reply = worker.push(worker.update(worker.lease()["lease"], 0), numpy.full(6, 2.0), query="?return=parameters")
    tensors, metadata = parse_safetensors(reply.content)
    assert (tensors["parameters"] == PARAMETERS - 2).all()
    assert reply.headers["Elephas-Version"] == metadata["version"] == "1"
    assert reply.headers["ETag"] == f'"{worker.incarnation}.1"'


def test_a_pull_of_the_known_version_is_empty(server):
    worker = Worker(server)
    worker.initialise()
    tag = server.get("/v1/parameters").headers["ETag"]
    assert server.get("/v1/parameters", headers={"If-None-Match": tag}).status_code == 304
    worker.push(worker.update(worker.lease()["lease"], 0), numpy.ones(6))
    assert server.get("/v1/parameters", headers={"If-None-Match": tag}).status_code == 200


def test_a_pull_waits_for_the_version_it_needs(server):
    worker = Worker(server)
    worker.initialise()
    reply = server.get("/v1/parameters?minVersion=1&wait=0.05")
    assert reply.status_code == 408
    assert reply.json()["error"] == "timeout"


def test_synchronous_rounds_hand_out_the_mean_in_one_exchange(start_server):
    server = start_server(manifest(mode="synchronous"))
    one = Worker(server, "one")
    one.initialise()
    two = Worker(server, "two")
    first, second = one.lease()["lease"], two.lease()["lease"]
    one.push(one.update(first, 0), numpy.full(6, 1.0))
    reply = two.push(two.update(second, 0), numpy.full(6, 3.0), query="?return=parameters&minVersion=1&wait=20")
    tensors, _ = parse_safetensors(reply.content)
    assert (tensors["parameters"] == PARAMETERS - 2).all()


def test_a_lease_that_ran_out_goes_to_another_worker_and_late_pushes_count_once(start_server):
    server = start_server(manifest(), "--lease-seconds", "0.2")
    slow = Worker(server, "slow")
    slow.initialise()
    lost = slow.lease()["lease"]
    quick = Worker(server, "quick")

    def taken_over():
        lease = quick.lease(wait=0.1).get("lease")
        if lease is None or (lease["epoch"], lease["partition"]) == (lost["epoch"], lost["partition"]):
            return lease
        quick.push(quick.update(lease, 0), numpy.zeros(6))
        return None

    lease = wait_until(taken_over, what="the lost task")
    assert lease["lease"] > lost["lease"]
    assert slow.push(slow.update(lost, 0), numpy.ones(6)).json()["outcome"] == "applied"
    assert quick.push(quick.update(lease, 0), numpy.ones(6)).json()["outcome"] == "duplicate"
    parameters, _ = quick.pull()
    assert (parameters == PARAMETERS - 1).all()


def test_a_server_killed_in_the_middle_continues_from_its_checkpoint(start_server):
    document = manifest(checkpoint={"uri": "ckpt"}, fit={"epochs": 3, "batchSize": 4, "seed": 42})
    server = start_server(document)
    worker = Worker(server)
    worker.initialise()
    while server.get("/v1/status").json()["epoch"] < 1:
        assert worker.train_one(numpy.ones(6))["state"] == "leased"
    folder = server.process.stdout_path.parent / "ckpt"
    wait_until(lambda: any(path.suffix == ".safetensors" for path in folder.rglob("*")), what="the checkpoint")
    _, at_cut = worker.pull()
    worker.train_one(numpy.ones(6))  # beyond the cut: gone with the kill
    server.process.kill()

    again = start_server(document, port=server.port)
    stale = again.get("/v1/parameters", headers=worker.headers)
    assert stale.status_code == 409
    assert stale.json()["incarnation"] > worker.incarnation
    worker = Worker(again)
    assert worker.joined["initialised"] is True
    parameters, version = worker.pull()
    assert version == at_cut
    assert (parameters == PARAMETERS - at_cut).all()
    finish_job(worker)
    assert again.get("/v1/history").json()["examples"] == [20, 20, 20]
    parameters, _ = worker.pull()
    assert (parameters == PARAMETERS - 6).all()


def test_only_a_resumed_run_continues_another_runs_checkpoint(start_server):
    document = manifest(checkpoint={"uri": "ckpt"})
    server = start_server(document)
    worker = Worker(server)
    worker.initialise()
    finish_job(worker)
    server.process.stop()
    assert Worker(start_server(document, uid="u-2")).joined["initialised"] is False
    resumed = start_server(document, "--resume", uid="u-3")
    assert Worker(resumed).joined["initialised"] is True
    assert resumed.get("/v1/job").json()["uid"] == "u-3"
    assert resumed.get("/v1/status").json()["resumedFrom"] == {"uid": "u-1", "epoch": 2}


def test_another_layout_is_refused_with_what_differs(server):
    Worker(server).initialise()
    other = {**LAYOUT, "examples": 21}
    reply = server.request(
        "PUT",
        "/v1/layout",
        json=other,
        headers={"Elephas-Incarnation": str(server.get("/v1/job").json()["incarnation"])},
    )
    assert reply.status_code == 409
    assert "examples" in reply.json()["message"]


def test_a_failed_job_ends_its_workers(server):
    worker = Worker(server)
    worker.initialise()
    worker.call("POST", "/v1/failure", {"worker": worker.name, "reason": "BadData", "message": "row 3"}, status=204)
    reply = worker.lease()
    assert reply["state"] == "failed"
    assert "row 3" in reply["message"]
    assert server.get("/v1/status").json()["state"] == "Failed"


def test_two_servers_share_the_parameters_by_range(start_server):
    document = manifest(parameterServers={"replicas": 2})
    zero = start_server(document)
    one = start_server(document, "--index", "1", "--coordinator", zero.url)
    wait_until(lambda: zero.get("/readyz").ok and one.get("/readyz").ok, what="both servers to agree")
    worker = Worker(zero)
    assert worker.joined["servers"] == [zero.url, one.url]
    other = Worker.__new__(Worker)
    other.server, other.name, other.incarnation = one, worker.name, worker.incarnation
    assert zero.get("/v1/job").json()["incarnation"] == one.get("/v1/job").json()["incarnation"]
    for side, part in ((worker, PARAMETERS[:3]), (other, PARAMETERS[3:])):
        side.initialise(parameters=part)
    assert one.get("/v1/layout").json()["slots"] == [3, 4]
    lease = worker.lease()["lease"]
    update = worker.update(lease, 0)
    assert other.push(update, numpy.ones(3)).json()["outcome"] == "applied"
    assert worker.push(update, numpy.ones(3)).json()["outcome"] == "applied"
    assert (numpy.concatenate([worker.pull()[0], other.pull()[0]]) == PARAMETERS - 1).all()
    assert zero.get("/v1/model.safetensors").status_code == 409
    assert one.request("POST", "/v1/workers", json={"name": "w"}).status_code == 409


def test_a_server_that_restarts_makes_all_of_them_start_over(start_server):
    document = manifest(parameterServers={"replicas": 2})
    zero = start_server(document)
    one = start_server(document, "--index", "1", "--coordinator", zero.url)
    wait_until(lambda: zero.get("/readyz").ok and one.get("/readyz").ok, what="both servers to agree")
    before = zero.get("/v1/job").json()["incarnation"]
    one.process.kill()
    again = start_server(document, "--index", "1", "--coordinator", zero.url)

    def agreed():
        incarnations = {side.get("/v1/job").json()["incarnation"] for side in (zero, again)}
        return len(incarnations) == 1 and incarnations.pop() > before and again.get("/readyz").ok

    wait_until(agreed, what="a new incarnation")


def test_the_log_never_shows_the_token(start_server):
    server = start_server(manifest(), "--log-level", "debug", "--log-format", "json")
    Worker(server).initialise()
    server.get("/v1/nothing")
    server.process.stop()
    assert '"event":"worker joined"' in server.process.stderr
    assert TOKEN not in server.process.output
