"""The monitoring parts of the chart: off until wanted, and what Helm renders is what the other tests test."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import jsonschema_rs
import pytest
import yaml

import chart

KINDS = {
    "podMonitor": "PodMonitor",
    "serviceMonitor": "ServiceMonitor",
    "prometheusRule": "PrometheusRule",
    "dashboards": "ConfigMap",
}


def find_helm():
    deps = pathlib.Path(os.environ.get("ELEPHAS_DEPS_DIR") or pathlib.Path.home() / ".cache" / "elephas")
    return next((str(path) for path in sorted(deps.glob("cluster*/bin/helm"))), None) or shutil.which("helm")


@pytest.fixture
def render():
    helm = find_helm()
    if helm is None:
        pytest.skip("helm is not here: scripts/setup.sh --cluster builds it")
    if not (chart.CHART / "Chart.yaml").exists():
        pytest.skip("the chart has no Chart.yaml")

    def run(*settings, fails=False):
        """Objects of the monitoring templates, by kind."""
        arguments = [argument for setting in settings for argument in ("--set-json", setting)]
        result = subprocess.run(
            [helm, "template", "elephas", str(chart.CHART), "--namespace", "elephas-system", *arguments],
            capture_output=True, text=True, timeout=120, check=False)
        assert (result.returncode != 0) == fails, result.stderr
        if fails:
            return result.stderr
        found = {}
        for part in re.split(r"^---\n", result.stdout, flags=re.MULTILINE):
            if "/templates/monitoring/" in part.split("\n", 1)[0]:
                document = yaml.safe_load(part)
                if document:
                    found.setdefault(document["kind"], []).append(document)
        return found

    return run


def test_everything_is_off_until_it_is_wanted(render):
    assert render() == {}


@pytest.mark.parametrize("key", KINDS)
def test_each_part_is_switched_on_alone(render, key):
    assert set(render(f'monitoring.{key}.enabled=true')) == {KINDS[key]}


def test_helm_renders_the_rules_that_are_tested(render):
    (rule,) = render("monitoring.prometheusRule.enabled=true")["PrometheusRule"]
    assert rule["spec"] == chart.rules()


def test_thresholds_are_values(render):
    (rule,) = render(
        "monitoring.prometheusRule.enabled=true",
        "monitoring.prometheusRule.thresholds.checkpointAgeSeconds=12345678",
        'monitoring.prometheusRule.runbookUrl="https://example.com/runbooks/"',
    )["PrometheusRule"]
    text = json.dumps(rule)
    assert "> 12345678\\n" in text
    assert '"https://example.com/runbooks/ElephasJobStuck.md"' in text


def test_helm_renders_the_endpoints_that_are_tested(render):
    found = render("monitoring.podMonitor.enabled=true", "monitoring.serviceMonitor.enabled=true")
    for kind, field, name in (("PodMonitor", "podMetricsEndpoints", "job"), ("ServiceMonitor", "endpoints", "operator")):
        (monitor,) = found[kind]
        for endpoint in monitor["spec"][field]:
            assert endpoint.pop("interval") == "15s"
        assert monitor["spec"][field] == chart.endpoints(name)


def test_monitors_follow_the_watched_namespaces(render):
    (monitor,) = render("monitoring.podMonitor.enabled=true")["PodMonitor"]
    assert monitor["spec"]["namespaceSelector"] == {"any": True}
    (monitor,) = render("monitoring.podMonitor.enabled=true", 'watchNamespaces=["ml","lab"]')["PodMonitor"]
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["ml", "lab"]}


def test_dashboards_are_config_maps_that_grafana_finds(render):
    maps = render("monitoring.dashboards.enabled=true")["ConfigMap"]
    assert len(maps) == len(chart.dashboards())
    for config_map in maps:
        assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((name, text),) = config_map["data"].items()
        assert json.loads(text) == chart.dashboards()[name.removesuffix(".json")]


@pytest.mark.parametrize(
    "setting",
    [
        "monitoring.podMonitor.enabled=1",
        'monitoring.podMonitor.intervall="15s"',
        "monitoring.prometheusRule.thresholds.staleness=-1",
        'monitoring.prometheusRule.thresholds.stuckWindow="soon"',
        "monitoring.dashboards.labels=[]",
    ],
)
def test_wrong_values_are_refused(render, setting):
    assert "monitoring" in render(setting, fails=True)


# --- the dashboards; Grafana itself is not needed for these

PANEL_TYPES = {"row", "timeseries", "stat", "gauge", "table"}
GRID = {
    "type": "object",
    "required": ["x", "y", "w", "h"],
    "properties": {
        "x": {"type": "integer", "minimum": 0, "maximum": 23},
        "y": {"type": "integer", "minimum": 0},
        "w": {"type": "integer", "minimum": 1, "maximum": 24},
        "h": {"type": "integer", "minimum": 1},
    },
}
DATASOURCE = {
    "type": "object",
    "properties": {"type": {"const": "prometheus"}, "uid": {"const": "${datasource}"}},
    "required": ["type", "uid"],
}
# As much of Grafana's dashboard model as these dashboards use.
SCHEMA = {
    "type": "object",
    "required": ["uid", "title", "description", "schemaVersion", "panels", "templating", "time", "refresh", "tags"],
    "properties": {
        "uid": {"type": "string", "pattern": "^[a-z-]{1,40}$"},
        "id": False,  # Grafana's own number: another Grafana has another
        "schemaVersion": {"type": "integer", "minimum": 36},
        "tags": {"type": "array", "contains": {"const": "elephas"}},
        "panels": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "type", "title", "gridPos"],
                "properties": {"type": {"enum": sorted(PANEL_TYPES)}, "gridPos": GRID},
                "if": {"properties": {"type": {"const": "row"}}},
                "else": {
                    "required": ["targets", "fieldConfig", "options", "description", "datasource"],
                    "properties": {
                        "datasource": DATASOURCE,
                        "description": {"type": "string", "minLength": 5},
                        "targets": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["refId", "expr", "legendFormat", "datasource"],
                                "properties": {"expr": {"type": "string", "minLength": 1}, "datasource": DATASOURCE},
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize("name", sorted(chart.dashboards()))
def test_a_dashboard_is_one_that_grafana_can_open(name):
    dashboard = chart.dashboards()[name]
    jsonschema_rs.validate(SCHEMA, dashboard)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        references = [target["refId"] for target in panel.get("targets", [])]
        assert len(references) == len(set(references)), panel["title"]


@pytest.mark.parametrize("name", sorted(chart.dashboards()))
def test_every_variable_of_a_query_is_one_of_the_dashboard(name):
    dashboard = chart.dashboards()[name]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard["panels"]) + json.dumps(dashboard["templating"])))
    assert used - {"__rate_interval", "__all"} == variables
