"""The alert rules: Prometheus takes them, they fire when they should, and each has a page that says what to do."""

import pathlib
import subprocess

import yaml

import chart

HERE = pathlib.Path(__file__).resolve().parent


def write_rules(folder):
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(chart.rules(), sort_keys=False, width=1000))
    return path


def run(promtool, *arguments):
    result = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_promtool_takes_the_rules(promtool, tmp_path):
    output = run(promtool, "check", "rules", write_rules(tmp_path))
    assert f"SUCCESS: {len(chart.alerts())} rules found" in output


def test_every_alert_fires_and_does_not(promtool, tmp_path):
    write_rules(tmp_path)
    runbooks = chart.values()["monitoring"]["prometheusRule"]["runbookUrl"]
    document = yaml.safe_load((HERE / "alerts_test.yaml").read_text().replace("RUNBOOKS", runbooks))
    document["rule_files"] = ["rules.yaml"]
    tested = {}
    for test in document["tests"]:
        for alert in test["alert_rule_test"]:
            tested.setdefault(alert["alertname"], set()).add(bool(alert["exp_alerts"]))
    assert tested == {name: {True, False} for name, _ in chart.alerts()}, "an alert lacks a test of either kind"
    (tmp_path / "alerts_test.yaml").write_text(yaml.safe_dump(document, sort_keys=False, width=1000))
    run(promtool, "test", "rules", tmp_path / "alerts_test.yaml")


def test_every_alert_says_what_it_is_and_what_to_do(source_dir):
    runbooks = chart.values()["monitoring"]["prometheusRule"]["runbookUrl"]
    for name, rule in chart.alerts():
        assert name.startswith("Elephas")
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name
        url = rule["annotations"]["runbook_url"]
        assert url.startswith(runbooks + "/"), name
        page = source_dir / "docs" / "runbooks" / url.removeprefix(runbooks + "/")
        text = page.read_text()
        assert name in text, f"{page} does not speak of {name}"
        for heading in ("## What it means", "## What to look at", "## What to do"):
            assert heading in text, f"{page} lacks '{heading}'"


def test_every_runbook_belongs_to_an_alert(source_dir):
    linked = {rule["annotations"]["runbook_url"].rsplit("/", 1)[1] for _, rule in chart.alerts()}
    assert {path.name for path in (source_dir / "docs" / "runbooks").glob("*.md")} == linked
