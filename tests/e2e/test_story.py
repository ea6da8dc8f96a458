"""The README's story on a cluster: install, apply, watch, wait, look at the results."""

import json
import re

import pytest
import yaml
from jobs import manifest, run_locally
from kube import condition, is_true


def _example(digits):
    """examples/digits/job.yaml with a volume, as the README says."""
    job = yaml.safe_load((digits / "job.yaml").read_text())
    job["spec"]["workers"].setdefault("template", {"spec": {"volumes": [
        {"name": "data", "persistentVolumeClaim": {"claimName": "digits"}}]}})
    return job


def test_example_trains(jobs, digits):
    name = jobs.apply(_example(digits))
    jobs.kubectl.run("wait", "--for=condition=Succeeded", f"ej/{name}", "--timeout=360s", timeout=370)
    table = jobs.kubectl.run("get", "ej")
    header, row = table.strip().splitlines()
    assert re.split(r"\s{2,}", header.strip()) == ["NAME", "STATE", "EPOCH", "PROGRESS", "LOSS", "WORKERS", "AGE"]
    cells = row.split()
    assert cells[:2] == ["digits", "Succeeded"]
    assert "20" in cells[2] and "100" in cells[3] and float(cells[4]) < 0.5
    assert sorted(path.name for path in (jobs.folder / "out").iterdir()) == [
        "history.json", "model.keras", "model.safetensors"]
    history = json.loads((jobs.folder / "out" / "history.json").read_text())
    assert history["val_accuracy"][-1] > 0.85

    status = jobs.get(name)["status"]
    assert {"startTime", "completionTime", "epoch", "progress", "loss", "examplesPerSecond", "conditions"} <= set(status)
    assert status["loss"] == pytest.approx(history["loss"][-1], rel=1e-3)
    assert {each["observedGeneration"] for each in status["conditions"]} == {1}

    described = jobs.kubectl.run("describe", "ej", name)
    assert "Events:" in described and "JobSucceeded" in described
    events = jobs.kubectl.list("events.events.k8s.io")
    told = [event["reason"] for event in events if event["regarding"]["kind"] == "ElephasJob"]
    assert told.count("JobSucceeded") == 1


def test_evaluate_and_predict_after_training(jobs, digits):
    jobs.apply(_example(digits))
    jobs.wait_succeeded("digits")
    for name in ("evaluate", "predict"):
        job = yaml.safe_load((digits / f"{name}.yaml").read_text())
        job["spec"]["workers"].setdefault("template", {"spec": {"volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "digits"}}]}})
        jobs.apply(job)
        jobs.wait_succeeded(f"digits-{name}")
    metrics = json.loads((jobs.folder / "out" / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.85
    assert (jobs.folder / "out" / "predictions.npy").exists()


def test_same_weights_as_a_local_run(jobs, digits, bin_dir, processes):
    job = manifest("seeded", fit_epochs=3)
    name = jobs.apply(job)
    out = run_locally(job, digits, bin_dir, processes)
    jobs.wait_succeeded(name)
    assert jobs.weights(name) == (out / "model.safetensors").read_bytes()


@pytest.mark.parametrize("path", ["ej.spec", "ej.spec.runPolicy", "ej.spec.fit", "ej.status"])
def test_every_field_is_explained(administrator, operator, path):
    explained = administrator.run("explain", path)
    assert "<no description>" not in explained
    # A field is a line with its name and type; its description is indented further.
    fields, name = {}, None
    for line in explained.split("FIELDS:")[1].splitlines():
        header = re.match(r"  (\w+)\t<", line)
        if header:
            name = header[1]
            fields[name] = ""
        elif line.startswith("    "):
            fields[name] += line.strip()
    assert fields
    assert [name for name, text in fields.items() if not text] == []


def test_command_line(jobs, digits, bin_dir, processes, cluster):
    """submit --follow, get, logs, delete: the same progress line as a local run."""
    path = digits / "submitted.yaml"
    path.write_text(yaml.safe_dump(manifest("submitted", fit_epochs=3)))

    def elephas(*arguments):
        process = processes(bin_dir / "elephas", *arguments, "--namespace", jobs.kubectl.namespace,
                            env=cluster.environment())
        assert process.wait(120) == 0, process.output
        return process.stdout

    followed = elephas("submit", path, "--follow")
    assert re.search(r"^Epoch 3/3 ", followed, re.MULTILINE), followed
    assert "submitted" in elephas("get")
    assert "Succeeded" in elephas("get", "submitted")
    assert "job succeeded" in elephas("logs", "submitted")
    elephas("delete", "submitted")
    jobs.kubectl.wait_gone("ej", "submitted")


def test_example_is_named_by_kstatus(jobs):
    """What Flux, Argo CD and `helm --wait` look at."""
    name = jobs.apply(manifest("suspended", runPolicy_suspend=True))
    job = jobs.wait_for(name, is_true("Suspended"))
    assert condition(job, "Suspended")["observedGeneration"] == job["metadata"]["generation"]
    assert condition(job, "Stalled").get("status") != "True"
