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
from jobs import prepare
from kube import Kubectl
from traces import NO_TRACES, traces

_unmet = "ELEPHAS_E2E=0 is set" if os.environ.get("ELEPHAS_E2E") == "0" else requirements.unmet()
OPERATOR_NAMESPACE = "elephas-system"
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


@pytest.fixture(scope="session")
def operator(images, helm, source_dir):
    """The chart, installed as the README says; `make images` calls images what it asks for by default."""
    chart = source_dir / "charts" / "elephas-operator"
    if "operator" not in images or not (chart / "Chart.yaml").exists():
        pytest.skip("there is no elephas-operator to install yet")
    helm("install", "elephas", chart, "--namespace", OPERATOR_NAMESPACE, "--create-namespace", "--wait", "--timeout",
         "120s")
    return "elephas"


@pytest.fixture(scope="session")
def operator_pods(cluster, operator):
    """operator_pods() -> the operator's pods that run."""
    kubectl = Kubectl(cluster, OPERATOR_NAMESPACE)
    return lambda: [pod for pod in kubectl.list("pods", f"app.kubernetes.io/instance={operator}")
                    if pod["status"].get("phase") == "Running"]


@pytest.fixture
def jobs(operator, kubectl, digits):
    """Jobs in the test's namespace, with a volume that holds examples/digits."""
    return prepare(kubectl, digits)


@pytest.fixture(scope="module")
def module_jobs(operator, cluster, administrator, source_dir):
    """The same for tests that look at jobs side by side."""
    name = f"side-by-side-{next(_numbers)}"
    administrator.apply(restricted_namespace(name))
    yield prepare(Kubectl(cluster, name), source_dir / "examples" / "digits")
    administrator.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def digits(source_dir, tmp_path):
    """A copy of examples/digits to run in."""
    return shutil.copytree(source_dir / "examples" / "digits", tmp_path / "digits",
                           ignore=shutil.ignore_patterns("out", "ckpt"))
