"""The monitoring parts of the chart, as the tests need them: rules, scrape configuration and dashboards.

Helm renders them where it is there (test_chart.py compares); everything of substance lies in plain files of the
chart, so that the tests run without it too.
"""

import json
import pathlib
import re

import yaml

CHART = pathlib.Path(__file__).resolve().parents[2] / "charts" / "elephas-operator"


def values():
    return yaml.safe_load((CHART / "values.yaml").read_text())


def rules():
    """The rule file, as templates/monitoring/prometheusrule.yaml makes it from the default values."""
    prometheus_rule = values()["monitoring"]["prometheusRule"]
    text = (CHART / "monitoring" / "alerts.yaml").read_text()
    replacements = {**prometheus_rule["thresholds"], "runbookUrl": prometheus_rule["runbookUrl"].rstrip("/")}
    for name, value in replacements.items():
        text = text.replace("${%s}" % name, str(value))
    document = yaml.safe_load(text)
    assert "${" not in json.dumps(document), "a threshold of alerts.yaml is not in values.yaml"
    return document


def alerts():
    """[(name, rule)]"""
    return [(rule["alert"], rule) for group in rules()["groups"] for rule in group["rules"]]


# What Prometheus Operator calls the fields of a relabeling, and what Prometheus does.
RELABEL_FIELDS = {
    "sourceLabels": "source_labels",
    "targetLabel": "target_label",
    "regex": "regex",
    "replacement": "replacement",
    "action": "action",
    "separator": "separator",
}


def scrape_config(name, endpoint, targets, interval="1s"):
    """A scrape_config out of one endpoint of a PodMonitor or ServiceMonitor.

    `targets`: [(address, labels that Kubernetes' discovery would give)].
    """
    known = {"port", "path", "scheme", "honorLabels", "relabelings", "interval", "scrapeTimeout"}
    assert set(endpoint) <= known, f"this test does not know {set(endpoint) - known}"
    return {
        "job_name": name,
        "scrape_interval": interval,
        "scrape_timeout": interval,
        "metrics_path": endpoint["path"],
        "scheme": endpoint["scheme"],
        "honor_labels": endpoint["honorLabels"],
        "relabel_configs": [
            {RELABEL_FIELDS[field]: value for field, value in relabeling.items()}
            for relabeling in endpoint["relabelings"]
        ],
        "static_configs": [{"targets": [address], "labels": labels} for address, labels in targets],
    }


def endpoints(name):
    return yaml.safe_load((CHART / "monitoring" / f"{name}-endpoints.yaml").read_text())


def dashboards():
    """{name: document}"""
    return {path.stem: json.loads(path.read_text()) for path in sorted((CHART / "dashboards").glob("*.json"))}


def panels(dashboard):
    """All panels with queries, those in collapsed rows included."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def queries():
    """[(dashboard, panel's title, expression)] of all panels."""
    return [
        (name, panel["title"], target["expr"])
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def substitute(expression, job, namespace=".*", rate_interval="20s"):
    """What Grafana asks Prometheus once the dashboard's variables have values."""
    for variable, value in (("$__rate_interval", rate_interval), ("$namespace", namespace), ("$job", job)):
        expression = expression.replace(variable, value)
    assert "$" not in expression, f"unknown variable in {expression}"
    return expression


def metric_names(expression):
    """Names of the metrics that an expression reads."""
    return set(re.findall(r"\b(?:elephas|process)_[a-z0-9_]+\b", expression))


def selectors(expression):
    """The vector selectors of an expression: name{labels}."""
    return set(re.findall(r"\b(?:(?:elephas|process)_[a-z0-9_]+|up)(?:\{[^}]*\})?", expression))


def family(name):
    """The metric that a series belongs to: histograms have three names."""
    return re.sub(r"_(bucket|sum|count)$", "", name)
