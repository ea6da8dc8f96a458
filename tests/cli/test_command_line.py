"""What a person meets before anything runs: validate, refusals, exit codes."""

import json
import pathlib
import re
import socket

import pytest
import yaml

from fake_job import FAKE_PROGRAMS

MANIFEST = """apiVersion: elephas.dev/v1alpha1
kind: ElephasJob
metadata: {name: a}
spec:
  model: {uri: m.keras}
  data: {uri: x.npz}
  output: {uri: out}
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("m.keras", "x.npz"):
        (tmp_path / name).write_text("x")
    (tmp_path / "job.yaml").write_text(MANIFEST)
    return tmp_path


@pytest.fixture
def call(elephas, folder):
    """call("validate", "job.yaml") in the job's folder -> (exit code, stdout, stderr)"""

    def run(*arguments, env=None):
        process = elephas(*arguments, cwd=folder, env=env)
        return process.wait(), process.stdout, process.stderr

    return run


def test_a_valid_manifest(call):
    assert call("validate", "job.yaml") == (0, "job.yaml: valid\n", "")


def test_a_good_job_here_that_would_lose_its_results_on_a_cluster(call, folder):
    code, output, errors = call("validate", "--for-cluster", "job.yaml")
    assert (code, output) == (2, "")
    assert errors.startswith("job.yaml:7: spec.output.uri: 'out' is /data/out in the pods, where no volume is mounted")
    (folder / "job.yaml").write_text(
        MANIFEST + "  workers: {template: {spec: {volumes: [{name: data, emptyDir: {}}]}}}\n")
    assert call("validate", "--for-cluster", "job.yaml") == (0, "job.yaml: valid\n", "")


def test_a_good_job_here_that_is_too_large_for_a_cluster(call, folder):
    layers = [{"class_name": "Dense", "config": {"units": 1, "name": f"layer-{n}-{'x' * 60}"}} for n in range(12_000)]
    document = yaml.safe_load(MANIFEST)
    document["spec"]["compile"] = {"optimizer": "sgd", "loss": "mse"}
    document["spec"]["model"] = {"inline": {"class_name": "Sequential", "config": {"layers": layers}}}
    document["spec"]["workers"] = {"template": {"spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}}
    (folder / "job.yaml").write_text(json.dumps(document))
    code, output, errors = call("validate", "job.yaml")
    assert (code, output) == (0, "job.yaml: valid\n") and "too large" not in errors
    code, output, errors = call("validate", "--for-cluster", "job.yaml")
    assert (code, output) == (2, "")
    assert re.search(r"^job\.yaml: the job is too large for the cluster to hold: it has \d{7} bytes without its "
                     r"templates, more than 1000000; put the model into a file ", errors, re.MULTILINE)


def test_results_stay_below_their_folder_on_a_cluster(call):
    """A local run writes where it is told."""
    code, _, errors = call("validate", "job.yaml", "--set", "spec.output.uri=../out")
    assert code == 2 and "spec.output.uri: must not have '..' in it" in errors


def test_a_template_is_refused_as_pods_would_be(call, folder):
    (folder / "job.yaml").write_text(
        MANIFEST + "  workers:\n    template:\n      spec:\n        contaners: []\n        hostNetwork: 'yes'\n")
    for command in ("validate", "run"):
        assert call(command, "job.yaml") == (
            2,
            "",
            "job.yaml:11: spec.workers.template.spec.contaners: unknown field; did you mean 'containers'?\n"
            "job.yaml:12: spec.workers.template.spec.hostNetwork: must be true or false, not the text 'yes'\n",
        )


def test_every_problem_is_a_line(call, folder):
    (folder / "job.yaml").write_text(MANIFEST + "  fit: {epochs: 0, batch_size: 3}\n")
    assert call("validate", "job.yaml", "--set", "spec.mode=sync") == (
        2,
        "",
        "job.yaml:8: spec.fit.batch_size: unknown field; did you mean 'batchSize'?\n"
        "job.yaml:8: spec.fit.epochs: must be at least 1\n"
        "--set spec.mode=sync: spec.mode: must be one of synchronous, asynchronous, hogwild, not 'sync'\n",
    )


def test_validate_looks_at_no_other_file(call, folder):
    (folder / "x.npz").unlink()
    assert call("validate", "job.yaml")[0] == 0


def test_what_kubectl_apply_cannot_keep_is_a_warning(call, folder):
    inline = "{a: " + "x" * 262_144 + "}"
    (folder / "job.yaml").write_text(MANIFEST.replace("{uri: m.keras}", "{inline: " + inline + "}") + "  compile: {loss: mse}\n")
    code, out, err = call("validate", "job.yaml")
    assert (code, out) == (0, "job.yaml: valid\n")
    assert err.startswith("warning: job.yaml: has 262") and "elephas submit" in err and err.count("\n") == 1


def test_a_job_without_a_name_runs_under_one_that_is_made_up(call, folder):
    (folder / "job.yaml").write_text(MANIFEST.replace("{name: a}", "{generateName: a-}") + "  runPolicy: {suspend: true}\n")
    names = {call("run", "job.yaml")[1].split(":")[0] for _ in range(3)}
    assert len(names) == 3 and all(re.fullmatch("a-[b-z2-9]{5}", name) for name in names)


def test_an_object_from_a_cluster_is_a_manifest(call, folder, source_dir):
    """What `kubectl get -o yaml` printed."""
    text = (source_dir / "tests" / "verdicts" / "ok-yaml-get-o-yaml.yaml").read_text()
    (folder / "job.yaml").write_text(text)
    assert call("validate", "job.yaml") == (0, "job.yaml: valid\n", "")
    # It is read to the end: only the files are missing here.
    code, _, err = call("run", "job.yaml")
    assert code == 2 and "/in/model.json" in err and "status" not in err


def test_a_missing_manifest(call):
    assert call("run", "nowhere.yaml") == (2, "", "elephas: nowhere.yaml: no such file\n")


def test_a_folder_is_no_manifest(call):
    code, _, errors = call("validate", ".")
    assert code == 2 and errors.startswith("elephas: .: ")


def test_files_named_in_the_manifest_must_be_there(call, folder):
    (folder / "x.npz").unlink()
    (folder / "m.keras").unlink()
    assert call("run", "job.yaml") == (
        2,
        "",
        f"job.yaml:5: spec.model.uri: there is no file {folder}/m.keras\n"
        f"job.yaml:6: spec.data.uri: there is no file {folder}/x.npz\n",
    )
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".out" and path.suffix != ".err") == [
        "job.yaml"
    ]


def test_paths_start_from_the_manifests_folder(elephas, folder, tmp_path):
    process = elephas("run", folder / "job.yaml", "--set", "spec.data.uri=y.npz", cwd="/")
    assert process.wait() == 2
    assert f"there is no file {folder}/y.npz" in process.stderr


def test_a_suspended_job_starts_nothing(call, folder):
    setting = ("--set", "spec.runPolicy.suspend=true")
    message = "a: spec.runPolicy.suspend is true, nothing was started\n"
    assert call("run", "job.yaml", *setting) == (0, message, "")
    assert call("run", "job.yaml", "--json", *setting) == (0, '{"event":"suspended","job":"a"}\n', "")
    assert not (folder / "out").exists()


def test_a_port_in_use_is_named(call, folder):
    fakes = {"ELEPHAS_BIN_DIR": str(FAKE_PROGRAMS)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, errors = call("run", "job.yaml", "--set", f"spec.parameterServers.port={port}", env=fakes)
    assert (code, out) == (1, "")
    assert errors == (
        f"elephas: spec.parameterServers.port: port {port} of 127.0.0.1 cannot be used: Address already in use\n"
    )
    assert not (folder / "out").exists()


def test_a_metrics_port_that_cannot_be_is_named(call, folder):
    fakes = {"ELEPHAS_BIN_DIR": str(FAKE_PROGRAMS)}
    code, _, errors = call("run", "job.yaml", "--metrics-port", "70000", env=fakes)
    assert code == 2 and "--metrics-port" in errors
    code, out, errors = call("run", "job.yaml", "--metrics-port", "65535", env=fakes)
    assert (code, out) == (1, "")
    assert errors == "elephas: --metrics-port: port 65536 would be needed, but ports end at 65535\n"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, errors = call("run", "job.yaml", "--metrics-port", str(port), env=fakes)
    assert code == 1
    assert f"--metrics-port: port {port} of 127.0.0.1 cannot be used: Address already in use" in errors


def test_programs_that_are_not_there_are_named(call, tmp_path):
    code, _, errors = call("run", "job.yaml", env={"ELEPHAS_BIN_DIR": str(tmp_path)})
    assert code == 1
    assert errors == (
        f"elephas: cannot run {tmp_path}/elephas-paramserver: No such file or directory; elephas expects it in its "
        "own folder\n"
    )


def test_every_example_is_valid(elephas, source_dir):
    manifests = sorted(pathlib.Path(source_dir, "examples").glob("*/*.yaml"))
    assert manifests
    for path in manifests:
        process = elephas("validate", path, name=f"{path.parent.name}-{path.stem}")
        assert process.wait() == 0, process.output
