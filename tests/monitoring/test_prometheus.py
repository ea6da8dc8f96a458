"""A real Prometheus with the chart's scrape configuration and rules, watching a real `elephas run`.

Every query of every panel and every input of every alert has an answer; what is exported is documented, what is
documented is exported, and what is shown is both.
"""

import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest
import requests
import yaml

import chart
from support import wait_until
from test_rules import write_rules

SOURCE = pathlib.Path(__file__).resolve().parents[2]
NAMESPACE = "ml"
BIN = pathlib.Path(os.environ.get("ELEPHAS_BIN_DIR", SOURCE / "build" / "bin")).resolve()
# An operator without a cluster; only where the operator is built.
OPERATOR_PROBE = BIN.parent / "test-bin" / "elephas_operator_metrics_probe"


def here(expression):
    """Can there be an answer in this build?"""
    return OPERATOR_PROBE.exists() or "operator" not in expression


class Prometheus:
    def __init__(self, url):
        self.url = url

    def get(self, path, **parameters):
        reply = requests.get(self.url + path, params=parameters, timeout=30)
        body = reply.json()
        assert body["status"] == "success", f"{parameters}: {body}"
        return body["data"]

    def query(self, expression):
        """[(labels, value)] now."""
        data = self.get("/api/v1/query", query=expression)
        return [(entry["metric"], float(entry["value"][1])) for entry in data["result"]]

    def answers(self, expression):
        """Is there a number for it?"""
        return any(not math.isnan(value) for _, value in self.query(expression))


def documented():
    """{metric: (type, {labels})} of docs/metrics.md."""
    rows = {}
    for line in (SOURCE / "docs" / "metrics.md").read_text().splitlines():
        row = re.match(r"\| `(\w+)` \| (\w+) \| [^|]* \| ([^|]*) \|", line)
        if row:
            rows[row[1]] = (row[2], set(re.findall(r"`(\w+)`", row[3])))
    assert len(rows) > 40
    return rows


def free_ports(count):
    """The first of `count` ports in a row that nothing listens on."""
    for first in range(21000, 60000, 97):
        probes = []
        try:
            for port in range(first, first + count):
                probe = socket.socket()
                probes.append(probe)
                probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
    pytest.fail("no free ports")


@pytest.fixture(scope="module")
def run(module_processes, tmp_path_factory):
    """A run that goes on until it is told to stop: two workers, a checkpoint after each epoch, CUDA devices."""
    folder = tmp_path_factory.mktemp("job")
    for name in ("job.yaml", "model.json", "digits.csv"):
        shutil.copy(SOURCE / "examples" / "digits" / name, folder)
    # The driver's library of a machine with GPUs, so that what is only there on such a machine is tested too.
    shutil.copy(BIN.parent / "test-bin" / "libelephas_fake_nvml.so", folder / "libnvidia-ml.so.1")
    port = free_ports(3)
    settings = ["fit.epochs=100000", "fit.batchSize=1", "frequency=batch", "data.partitions=8", "checkpoint.uri=ckpt",
                "workers.replicas=2"]
    process = module_processes(
        "run", BIN / "elephas", "run", folder / "job.yaml", "--json", "--metrics-port", port,
        *(argument for setting in settings for argument in ("--set", f"spec.{setting}")),
        env={"LD_LIBRARY_PATH": str(folder)},
    )
    line = process.wait_for_output(r'^.*"event":"serving".*$', timeout=60).group(0)
    serving = json.loads(line)
    assert serving["metrics"] == [f"127.0.0.1:{port + i}" for i in range(3)]
    return process, serving


@pytest.fixture(scope="module")
def prometheus(module_processes, prometheus_program, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prometheus")
    _, serving = run
    roles = ["paramserver", "worker", "worker"]
    targets = [
        (
            address,
            {
                "__meta_kubernetes_namespace": NAMESPACE,
                "__meta_kubernetes_pod_name": f"digits-{role}-{i}",
                "__meta_kubernetes_pod_label_app_kubernetes_io_instance": "digits",
                "__meta_kubernetes_pod_label_app_kubernetes_io_component": role,
            },
        )
        for i, (address, role) in enumerate(zip(serving["metrics"], roles))
    ]
    port = 1  # nothing listens there
    if OPERATOR_PROBE.exists():
        port = module_processes("operator", OPERATOR_PROBE).wait_for_output(r"^port (\d+)$").group(1)
    operator = [(f"127.0.0.1:{port}", {"__meta_kubernetes_namespace": "elephas-system"})]
    servers_endpoint, workers_endpoint = chart.endpoints("job")
    (operator_endpoint,) = chart.endpoints("operator")
    configuration = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(write_rules(folder))],
        "scrape_configs": [
            chart.scrape_config("servers", servers_endpoint, targets[:1]),
            chart.scrape_config("workers", workers_endpoint, targets[1:]),
            chart.scrape_config("operator", operator_endpoint, operator),
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    process = module_processes(
        "prometheus",
        prometheus_program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{free_ports(1)}",
        "--log.level=info",
    )
    address = process.wait_for_output(r"Listening on.*address=(127\.0\.0\.1:\d+)").group(1)
    server = Prometheus(f"http://{address}")

    def ready():
        assert process.popen.poll() is None, process.output
        try:
            return requests.get(server.url + "/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    wait_until(ready, what="Prometheus")
    wait_until(
        lambda: server.query("elephas_paramserver_epoch >= 2") and len(server.query("elephas_worker_steps_total")) >= 2,
        timeout=120,
        what="two epochs in Prometheus",
    )
    return server


def all_answer(prometheus, expressions):
    """Waits until every expression has an answer; names those that never have."""
    open_ones = dict(expressions)

    def look():
        for name in [name for name, expression in open_ones.items() if prometheus.answers(expression)]:
            del open_ones[name]
        return not open_ones

    try:
        wait_until(look, timeout=60, what="answers")
    except pytest.fail.Exception:
        pytest.fail("no answer to:\n" + "\n".join(f"{name}: {expression}" for name, expression in open_ones.items()))


def test_every_target_answers(prometheus):
    def look():
        up = prometheus.query(f'up{{namespace="{NAMESPACE}"}} == 1')
        return up if len(up) == 3 else None

    up = wait_until(look, what="all targets to be up")
    assert {labels["pod"] for labels, _ in up} == {"digits-paramserver-0", "digits-worker-1", "digits-worker-2"}
    for labels, _ in up:
        assert labels["job"] == "digits"
        assert labels["role"] in ("paramserver", "worker")


def test_every_query_of_every_panel_has_an_answer(prometheus):
    expressions = {
        f"{dashboard}, {title}, {i}": chart.substitute(expression, "digits", NAMESPACE)
        for i, (dashboard, title, expression) in enumerate(chart.queries())
        if here(expression)
    }
    assert len(expressions) > 40
    all_answer(prometheus, expressions)


def test_without_a_cluster_there_is_no_namespace_and_the_panels_still_answer():
    for _, title, expression in chart.queries():
        if "namespace=" in expression:
            # ".*", the dashboards' "All", matches a label that is not there as well.
            assert 'namespace=~"$namespace"' in expression, title


def test_every_input_of_every_alert_exists(prometheus):
    inputs = {
        f"{name}, {selector}": selector for name, rule in chart.alerts() for selector in chart.selectors(rule["expr"])
    }
    assert len(inputs) > 10
    open_ones = dict(inputs)

    def look():
        for name in [name for name, selector in open_ones.items() if prometheus.query(selector)]:
            del open_ones[name]
        return not open_ones

    wait_until(look, timeout=60, what=f"series of {open_ones}")


def test_prometheus_evaluates_the_rules(prometheus):
    def look():
        rules = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
        assert {rule["name"] for rule in rules} == {name for name, _ in chart.alerts()}
        assert all(rule["health"] in ("ok", "unknown") for rule in rules), rules
        # An increase needs two samples, so an alert may be pending for a moment after the start.
        as_expected = [
            rule["health"] == "ok" and rule["state"] == ("inactive" if here(rule["query"]) else "pending")
            for rule in rules
        ]
        return rules if all(as_expected) else None

    wait_until(look, what="every rule to be evaluated, and no alert to be on its way that has its metrics")


def test_what_is_exported_is_documented_with_its_type_and_labels(prometheus):
    known = documented()
    common = {"__name__", "job", "role", "namespace", "pod", "instance", "le", "worker", "server"}
    for series in prometheus.get("/api/v1/series", **{"match[]": '{__name__=~"elephas_.*|process_.*"}'}):
        name = series["__name__"]
        name = name if name in known else chart.family(name)
        assert name in known, f"{series['__name__']} is not in docs/metrics.md"
        assert set(series) - common <= known[name][1], f"{name} has labels that docs/metrics.md does not name"
    for name, entries in prometheus.get("/api/v1/metadata").items():
        if name.startswith(("elephas_", "process_")):
            (entry,) = {(entry["type"], bool(entry["help"])) for entry in entries}
            assert entry == (known[name][0], True), name


def test_what_is_documented_is_exported(prometheus):
    def missing():
        exported = {chart.family(name) for name in prometheus.get("/api/v1/label/__name__/values")}
        exported |= set(prometheus.get("/api/v1/label/__name__/values"))
        return {name for name in documented() if name not in exported and here(name)}

    wait_until(lambda: not missing(), what=f"{missing()}")


def test_what_is_shown_is_documented():
    known = documented()
    shown = {
        name
        for expression in [*(query for _, _, query in chart.queries()), *(rule["expr"] for _, rule in chart.alerts())]
        for name in chart.metric_names(expression)
    }
    assert {name for name in shown if name not in known and chart.family(name) not in known} == set()


def test_the_metrics_are_the_status(prometheus, run):
    """Numbers that stand still at the same moment are compared: those of the closed epochs."""
    _, serving = run
    token = pathlib.Path(serving["tokenFile"]).read_text().strip()

    def look():
        status = requests.get(serving["page"] + "v1/status", headers={"Authorization": f"Bearer {token}"}, timeout=10).json()
        text = requests.get(f"http://{serving['metrics'][0]}/metrics", timeout=10).text
        shown = dict(re.findall(r'^elephas_paramserver_epoch_metric\{.*metric="(\w+)"\} (\S+)$', text, re.MULTILINE))
        epoch = re.search(r"^elephas_paramserver_epoch\{.*\} (\d+)$", text, re.MULTILINE).group(1)
        return (status, shown) if int(epoch) == status["epoch"] else None

    status, shown = wait_until(look)
    expected = {name: values[-1] for name, values in status["history"].items() if name not in ("examples", "seconds")}
    assert {name: float(value) for name, value in shown.items()} == pytest.approx(expected, rel=1e-6)


def test_the_metrics_port_of_a_server_gives_metrics_alone(run):
    _, serving = run
    url = f"http://{serving['metrics'][0]}"
    assert requests.get(url + "/healthz", timeout=10).ok
    for path in ("/v1/status", "/", "/v1/parameters"):
        assert requests.get(url + path, timeout=10).status_code == 404


def test_promtool_has_nothing_to_complain_of(promtool, run):
    _, serving = run
    for address in serving["metrics"]:
        text = requests.get(f"http://{address}/metrics", timeout=10).text
        lint = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")


def test_the_number_of_series_is_bounded(prometheus):
    for labels, value in prometheus.query('scrape_samples_scraped{namespace="ml"}'):
        assert value < 300, f"{labels['pod']} has {value} series"


def test_a_finished_job_leaves_no_series(prometheus, run):
    process, _ = run
    assert prometheus.query('elephas_paramserver_state{job="digits"}')
    process.signal(signal.SIGINT)
    process.wait(60)
    wait_until(
        lambda: not prometheus.query('{__name__=~"elephas_.*|process_.*", job="digits"}'),
        timeout=60,
        what="the job's series to end",
    )
