"""The scripts of `make gpu-test` and `make gpu-bench` on a machine without a GPU: they say so, and all that can run on
the CPU does."""

import os
import pathlib
import subprocess
import sys

import pytest

NO_GPU = 77


@pytest.fixture
def package(tmp_path, bin_dir):
    """A folder of programs as `make gpu-package` makes it, by links."""
    folder = tmp_path / "gpu"
    folder.mkdir()
    for place in (bin_dir, bin_dir.parent / "test-bin", bin_dir.parent / "bench-bin"):
        if place.is_dir():
            for path in place.iterdir():
                if path.is_file() and (path.name.startswith(("elephas", "bench")) or path.suffix == ".so"):
                    (folder / path.name).symlink_to(path)
    return folder


def run(script, package, *arguments):
    return subprocess.run(
        [sys.executable, str(script), str(package), *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        check=False,
    )


def has_gpu():
    return pathlib.Path("/dev/nvidiactl").exists()


@pytest.mark.skipif(has_gpu(), reason="there is a GPU: make gpu-test")
@pytest.mark.parametrize("script", ["tests/gpu/gpu_test.py", "bench/gpu/gpu_bench.py"])
def test_without_a_gpu_it_says_so(source_dir, package, script):
    finished = run(source_dir / script, package)
    assert finished.returncode == NO_GPU, finished.stdout + finished.stderr
    assert "no GPU: " in finished.stdout


def test_everything_but_the_gpu_is_rehearsed(source_dir, package):
    finished = run(source_dir / "tests" / "gpu" / "gpu_test.py", package, "--rehearse")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "8 of 8 passed" in finished.stdout
