"""The page at / of a parameter server, in a real browser."""

import json
import math

import numpy
import pytest
import requests

from rest_client import TOKEN, Worker, manifest
from support import wait_until

# What the page shows, as numbers and names.
LOOK = """
const text = (id) => document.getElementById(id).textContent;
const all = (selector, value) => [...document.querySelectorAll(selector)].map(value);
const shown = (id) => !document.getElementById(id).hidden;
return {
  job: text('job'), state: text('state'), note: shown('note') ? text('note') : '', login: shown('login'),
  progress: document.getElementById('bar').getAttribute('aria-valuenow'),
  tiles: Object.fromEntries(all('[data-tile]', (n) => [n.dataset.tile, n.textContent])),
  curves: Object.fromEntries(all('path.curve', (n) => [n.dataset.name, {
    points: Number(n.dataset.points), length: n.getTotalLength(), colour: getComputedStyle(n).stroke,
    width: n.getBoundingClientRect().width}])),
  workers: all('[data-worker]', (row) => [...row.cells].map((cell) => cell.textContent)),
  events: all('#events b', (n) => n.textContent),
  hash: location.hash,
};
"""
EPOCHS = 12


def losses(epoch):
    return {"loss": 2.2 * math.exp(-epoch / 4) + 0.08, "accuracy": 1 - 0.9 * math.exp(-epoch / 3)}


@pytest.fixture
def job(start_server):
    """A server and a worker of it, `EPOCHS` of 20 epochs trained and one begun."""
    server = start_server(manifest(fit={"epochs": 20, "batchSize": 4, "seed": 42}, compile={
        "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1}}, "loss": "mse", "metrics": ["accuracy"]}))
    worker = Worker(server)
    worker.initialise()
    for task in range(2 * EPOCHS + 1):
        lease = worker.lease(wait=10)["lease"]
        update = worker.update(lease, base=task)
        rows = update["examples"]
        update["metrics"] = [{
            name: {"kind": "mean", "values": [value * rows, rows]} for name, value in losses(lease["epoch"]).items()
        }]
        assert worker.push(update, numpy.full(6, 0.01)).json()["outcome"] == "applied"
    return server, worker


def settled(browser, server):
    """What the page shows and what the server says, once they are of the same moment."""

    def look():
        seen = browser.run(LOOK)
        status = server.get("/v1/status").json()
        if seen["tiles"].get("Version") != f"{status['version']:,}" or len(seen["events"]) != len(status["events"]):
            return None
        return seen, status

    return wait_until(look, what="the page to show the status")


def test_the_page_shows_what_the_status_says(browser, job):
    server, worker = job
    worker.lease()  # one that it works on while we look
    browser.size(1280, 1000)
    browser.open(f"{server.url}/#token={TOKEN}")
    seen, status = settled(browser, server)
    assert seen["job"] == status["job"] == "tiny"
    assert seen["state"] == status["state"] == "Running"
    assert float(seen["progress"]) == pytest.approx(100 * status["progress"], abs=0.05)
    assert seen["tiles"]["Epoch"] == f"{status['epoch']} of {status['epochs']}"
    assert float(seen["tiles"]["loss"]) == pytest.approx(status["history"]["loss"][-1], rel=1e-3)
    assert seen["tiles"]["Workers"] == "1 of 1 busy"
    assert seen["events"] == [event["reason"] for event in reversed(status["events"])]
    (row,) = seen["workers"]
    (expected,) = status["workers"]
    lease = expected["lease"]
    assert row == [
        expected["name"],
        expected["state"],
        f"train, epoch {lease['epoch'] + 1}, partition {lease['partition']}",
        str(expected["examples"]),
    ]
    for name in ("loss", "accuracy"):
        curve = seen["curves"][name]
        assert curve["points"] == len(status["history"][name]) == EPOCHS
        assert curve["length"] > 100 and curve["width"] > 200, "the curve is not drawn"
    assert seen["login"] is False


def test_the_page_follows_the_job(browser, job):
    server, worker = job
    browser.open(f"{server.url}/#token={TOKEN}")
    before, _ = settled(browser, server)
    for task in range(3):
        worker.train_one(numpy.full(6, 0.01))
    after, status = settled(browser, server)
    assert after["curves"]["loss"]["points"] == len(status["history"]["loss"]) > before["curves"]["loss"]["points"]


def test_the_token_stays_out_of_sight(browser, job):
    server, _ = job
    browser.open(f"{server.url}/#token={TOKEN}")
    seen, _ = settled(browser, server)
    assert seen["hash"] == ""
    assert TOKEN not in browser.run("return document.documentElement.outerHTML")
    assert TOKEN not in browser.run("return location.href")
    browser.open(f"{server.url}/")  # the tab remembers it
    settled(browser, server)
    assert TOKEN not in server.process.output


def test_without_the_token_there_is_only_a_question(browser, job):
    server, _ = job
    browser.open(f"{server.url}/")
    wait_until(lambda: browser.run(LOOK)["login"], what="the question for the token")
    assert browser.run(LOOK)["tiles"] == {}
    browser.run("document.getElementById('token').value = 'wrong'; document.querySelector('form button').click()")
    wait_until(lambda: "refuses" in browser.run("return document.getElementById('login').textContent"))
    browser.run(
        "document.getElementById('token').value = arguments[0]; document.querySelector('form button').click()", TOKEN
    )
    settled(browser, server)


def test_the_policy_lets_the_page_work_and_nothing_else(browser, job):
    server, _ = job
    browser.open(f"{server.url}/#token={TOKEN}")
    settled(browser, server)
    assert not [message for message in browser.messages() if "Content Security Policy" in message]
    blocked = """
    const script = document.createElement('script');
    script.textContent = 'window.injected = true';
    document.body.append(script);
    return window.injected === undefined;
    """
    assert browser.run(blocked)
    assert "default-src 'none'" in requests.get(server.url, timeout=10).headers["Content-Security-Policy"]


def test_both_colour_schemes_are_drawn(browser, job):
    server, _ = job
    colours = {}
    for scheme in ("light", "dark"):
        browser.colours(scheme)
        browser.open(f"{server.url}/#token={TOKEN}")
        seen, _ = settled(browser, server)
        ground = browser.run("return getComputedStyle(document.body).backgroundColor")
        colours[scheme] = (ground, seen["curves"]["loss"]["colour"])
    assert colours["light"][0] != colours["dark"][0]
    assert colours["light"][1] != colours["dark"][1]


def test_a_server_that_is_gone_leaves_the_last_numbers(browser, job):
    server, _ = job
    browser.open(f"{server.url}/#token={TOKEN}")
    before, _ = settled(browser, server)
    server.process.kill()
    wait_until(lambda: "last that it said" in browser.run(LOOK)["note"], what="the page to notice")
    assert browser.run(LOOK)["curves"]["loss"]["points"] == before["curves"]["loss"]["points"]


OPEN_FILE = """
const file = new File([arguments[1]], arguments[0], {type: 'application/json'});
const data = new DataTransfer();
data.items.add(file);
const input = document.getElementById('file');
input.files = data.files;
input.dispatchEvent(new Event('change'));
"""
DROP_FILE = """
const data = new DataTransfer();
data.items.add(new File([arguments[1]], arguments[0], {type: 'application/json'}));
document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
"""


@pytest.mark.parametrize("how", [OPEN_FILE, DROP_FILE], ids=["opened", "dropped"])
def test_a_history_is_drawn_without_a_server(browser, source_dir, how):
    history = {
        "loss": [2.0, 1.0, None, 0.5],
        "val_loss": [2.1, 1.2, 0.9, 0.8],
        "accuracy": [0.2, 0.5, 0.7, 0.9],
        "examples": [100, 100, 100, 100],
        "seconds": [1.0, 1.0, 1.0, 2.0],
    }
    browser.open((source_dir / "paramserver" / "rest" / "page" / "index.html").as_uri())
    browser.run(how, "history.json", json.dumps(history))
    seen = wait_until(lambda: (look := browser.run(LOOK))["curves"] and look)
    assert seen["job"] == "history.json"
    assert seen["tiles"]["loss"] == "0.5" and seen["tiles"]["val_loss"] == "0.8"
    assert seen["tiles"]["Examples/s"] == "80"
    assert {name: curve["points"] for name, curve in seen["curves"].items()} == {
        "loss": 3, "val_loss": 4, "accuracy": 4, "seconds": 4}


def test_a_file_that_is_no_history_is_named(browser, source_dir):
    browser.open((source_dir / "paramserver" / "rest" / "page" / "index.html").as_uri())
    browser.run(OPEN_FILE, "job.json", json.dumps({"kind": "ElephasJob"}))
    wait_until(lambda: "job.json: not a history.json" in browser.run(LOOK)["note"])
    browser.run(OPEN_FILE, "job.yaml", "kind: ElephasJob")
    wait_until(lambda: "job.yaml: " in browser.run(LOOK)["note"])
