"""The chart as Helm renders it. Without Helm (it is part of `make setup-cluster`) all tests are skipped."""

import os
import pathlib
import shutil
import subprocess

import pytest
import yaml


def _helm():
    deps = pathlib.Path(os.environ.get("ELEPHAS_DEPS_DIR") or pathlib.Path.home() / ".cache" / "elephas")
    built = deps / "cluster" / "bin" / "helm"
    return str(built) if built.exists() else shutil.which("helm")


def pytest_collection_modifyitems(items):
    if _helm() is None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="there is no helm: run `make setup-cluster`"))


def pytest_terminal_summary(terminalreporter):
    if _helm() is None:
        # ctest looks for this line.
        terminalreporter.write_line("chart tests skipped: there is no helm: run `make setup-cluster`")


@pytest.fixture(scope="session")
def chart(source_dir):
    return source_dir / "charts" / "elephas-operator"


@pytest.fixture(scope="session")
def helm(chart, tmp_path_factory):
    """helm(command, *arguments) -> the finished process. It asks no cluster and touches no configuration."""
    home = tmp_path_factory.mktemp("helm")
    env = {**os.environ, "HELM_CACHE_HOME": str(home), "HELM_CONFIG_HOME": str(home), "HELM_DATA_HOME": str(home),
           "KUBECONFIG": os.devnull}

    def run(*arguments):
        return subprocess.run([_helm(), *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=env)

    return run


@pytest.fixture(scope="session")
def render(helm, chart, tmp_path_factory):
    """render(values) -> the objects of a release `elephas` in namespace `elephas-system`."""
    folder = tmp_path_factory.mktemp("values")

    def objects(values=None):
        path = folder / "values.yaml"
        path.write_text(yaml.safe_dump(values or {}))
        done = helm("template", "elephas", chart, "--namespace", "elephas-system", "--kube-version", "1.34.0",
                    "--values", path)
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all(done.stdout) if each]

    return objects
