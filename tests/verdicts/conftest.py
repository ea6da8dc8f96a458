"""One API server for all tests, with the CRD and the admission policy that the chart installs."""

import json
import os
import subprocess

import manifests
import pytest
from api_server import JOBS, ApiServer, programs
from support import wait_until

_unmet = None if programs() else "there is no API server: run `make setup-cluster`"


def pytest_collection_modifyitems(items):
    if _unmet:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=_unmet))


def pytest_terminal_summary(terminalreporter):
    if _unmet:
        # ctest looks for this line.
        terminalreporter.write_line(f"verdict tests skipped: {_unmet}")


@pytest.fixture(scope="session")
def server(tmp_path_factory, source_dir):
    """An ApiServer that knows ElephasJobs as after `helm install`."""
    running = ApiServer(tmp_path_factory.mktemp("api-server"))
    try:
        running.up()
        _install(running, source_dir)
        yield running
    finally:
        running.down()


def _install(server, source_dir):
    chart = source_dir / "charts" / "elephas-operator"
    rendered = subprocess.run(
        [programs() / "helm", "template", "elephas", chart, "--kube-version", "1.34.0",
         "--show-only", "templates/crd.yaml", "--show-only", "templates/admission-policy.yaml"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, "KUBECONFIG": os.devnull})
    assert rendered.returncode == 0, rendered.stderr
    created = server.kubectl("create", "-f", "-", input=rendered.stdout, stdin=None)
    assert created.returncode == 0, created.stderr
    # Both take effect a moment after they are there.
    bad = manifests.minimal()
    bad["spec"]["compile"] = {"loss": "no such loss"}

    def refuses():
        status, answer = server.request("POST", JOBS, bad, dryRun="All", fieldValidation="Strict")
        return status == 422 and "ValidatingAdmissionPolicy" in answer["message"]

    wait_until(refuses, 60.0, "the API server to know the CRD and the policy")


@pytest.fixture(scope="session")
def judge(bin_dir):
    """judge(texts) -> for each the list of problems that `elephas validate` would show."""
    program = bin_dir.parent / "test-bin" / "verdicts_judge"

    def problems(texts):
        asked = "".join(json.dumps(text) + "\n" for text in texts)
        done = subprocess.run([program], input=asked, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return problems


@pytest.fixture(scope="session")
def fields(bin_dir):
    """The rows of the manifest's table of fields."""
    program = bin_dir.parent / "test-bin" / "verdicts_judge"
    return json.loads(subprocess.run([program, "--fields"], capture_output=True, check=True,
                                     stdin=subprocess.DEVNULL).stdout)
