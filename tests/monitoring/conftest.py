import importlib.util
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "rest"))

from webdriver import Browser


def find(name):
    """A program of Prometheus: where scripts/setup.sh unpacked it, or an installed one."""
    deps = pathlib.Path(os.environ.get("ELEPHAS_DEPS_DIR") or pathlib.Path.home() / ".cache" / "elephas")
    unpacked = deps / "prometheus" / "usr" / "bin" / name
    path = unpacked if unpacked.exists() else shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is missing: run scripts/setup.sh")
    return str(path)


@pytest.fixture(scope="session")
def promtool():
    return find("promtool")


@pytest.fixture(scope="session")
def prometheus_program():
    return find("prometheus")


def load(path):
    """A conftest.py of another folder, as a module."""
    spec = importlib.util.spec_from_file_location(f"conftest_of_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TESTS = pathlib.Path(__file__).resolve().parents[1]
Process = load(TESTS / "conftest.py").Process
# A parameter server that a test itself works for.
start_server = load(TESTS / "rest" / "conftest.py").start_server


@pytest.fixture(scope="module")
def module_processes(tmp_path_factory):
    """start(name, program, *arguments, env=…) -> Process; for all tests of a file."""
    started = []

    def start(name, *arguments, **options):
        started.append(Process(arguments, tmp_path_factory.mktemp("output"), name, **options))
        return started[-1]

    yield start
    for process in reversed(started):
        process.stop()


@pytest.fixture
def browser(processes, tmp_path):
    """A headless Chromium, driven by WebDriver."""
    programs = {name: shutil.which(name) for name in ("chromedriver", "chromium")}
    for name, path in programs.items():
        if path is None:
            pytest.fail(f"{name} is missing: run scripts/setup.sh")
    home = tmp_path / "browser"
    home.mkdir()
    driver = processes(programs["chromedriver"], "--port=0", env={"HOME": str(home)}, name="chromedriver")
    port = driver.wait_for_output(r"started successfully on port (\d+)", timeout=60).group(1)
    session = Browser(f"http://127.0.0.1:{port}", programs["chromium"], home)
    yield session
    session.close()
