"""The table of pod templates' types is what the Kubernetes of the test cluster says."""

import pathlib
import shutil
import subprocess

import pytest


def _modules():
    if shutil.which("go") is None:
        return None
    done = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True)
    return pathlib.Path(done.stdout.strip()) if done.returncode == 0 else None


def test_the_table_is_what_its_script_makes(source_dir):
    modules = _modules()
    # Fetching the module is for `make setup-cluster`, not for a test.
    if modules is None or not list(modules.glob("k8s.io/kubernetes@*/api")):
        pytest.skip("the Go module of Kubernetes is not on this machine: run `make setup-cluster`")
    done = subprocess.run([source_dir / "scripts" / "pod_template_schema.py", "--check"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
