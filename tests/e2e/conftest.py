"""One cluster for all end-to-end tests, a namespace for each.

Where no cluster can run, all tests are skipped, and the summary says why.
"""

import itertools
import json
import os
import shutil
import subprocess
import tarfile

import pytest
from cluster import cluster as clusters
from cluster import requirements
from kube import Kubectl
from traces import NO_TRACES, traces

_unmet = "ELEPHAS_E2E=0 is set" if os.environ.get("ELEPHAS_E2E") == "0" else requirements.unmet()
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items):
    if _unmet:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=_unmet))


def pytest_terminal_summary(terminalreporter):
    if _unmet:
        # ctest looks for this line, scripts/test.sh repeats it.
        terminalreporter.write_line(f"end-to-end tests skipped: {_unmet}")


@pytest.fixture(scope="session")
def images(source_dir, bin_dir):
    """name -> archive of the image with the program of that name, as `make images` builds it."""
    names = [name for name in ("operator", "paramserver", "worker") if (bin_dir / f"elephas-{name}").exists()]
    done = subprocess.run([source_dir / "scripts" / "images.sh", *names], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env={**os.environ, "ELEPHAS_BIN_DIR": str(bin_dir)})
    assert done.returncode == 0, done.stderr
    return {name: source_dir / "build" / "images" / f"{name}.tar" for name in names}


@pytest.fixture(scope="session")
def image_names(images):
    """name -> what a pod calls the image."""

    def name_in(archive):
        with tarfile.open(archive) as tar:
            index = json.load(tar.extractfile("index.json"))
        return index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]

    return {name: name_in(archive) for name, archive in images.items()}


@pytest.fixture(scope="session")
def cluster(images):
    """A cluster with the images loaded; it ends with this process, however that ends."""
    standing = clusters.up(f"e2e-{os.getpid()}", with_lifeline=True)
    try:
        for archive in images.values():
            standing.load_image(archive)
        yield standing
    finally:
        standing.down()
    assert traces(standing.layout) == NO_TRACES


def restricted_namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


@pytest.fixture(scope="session")
def administrator(cluster):
    """kubectl outside of any test's namespace."""
    return Kubectl(cluster)


@pytest.fixture
def kubectl(cluster, administrator, request):
    """kubectl in a namespace of the test's own, where PodSecurity `restricted` is enforced."""
    words = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-").lower()[:40].rstrip("-")
    name = f"{words}-{next(_numbers)}"
    administrator.apply(restricted_namespace(name))
    yield Kubectl(cluster, name)
    administrator.run("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def helm(cluster):
    """helm(*arguments) -> what it printed; it must succeed."""

    def run(*arguments):
        done = subprocess.run(["helm", *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=cluster.environment())
        assert done.returncode == 0, f"helm {' '.join(map(str, arguments))}: {done.stderr}{done.stdout}"
        return done.stdout

    return run


@pytest.fixture
def digits(source_dir, tmp_path):
    """A copy of examples/digits to run in."""
    return shutil.copytree(source_dir / "examples" / "digits", tmp_path / "digits",
                           ignore=shutil.ignore_patterns("out", "ckpt"))
