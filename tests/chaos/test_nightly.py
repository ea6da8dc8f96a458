"""scripts/nightly.sh with a `make` that does nothing but fail where it is told to."""

import os
import shutil
import subprocess

import pytest


@pytest.fixture
def nightly(tmp_path, source_dir):
    """nightly(parts, failing) -> the finished script, in a folder of its own."""
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(source_dir / "scripts" / "nightly.sh", tmp_path / "scripts")
    programs = tmp_path / "programs"
    programs.mkdir()
    make = programs / "make"
    make.write_text('#!/bin/sh\necho "this is $*"\n[ "$1" != "$FAILING" ]\n')
    make.chmod(0o755)

    def run(parts="", failing=""):
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "NIGHTLY": parts, "FAILING": failing}
        environment.pop("FUZZ_SECONDS", None)
        return subprocess.run([script], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    return run


def test_everything_is_done(nightly, tmp_path):
    done = nightly()
    assert done.returncode == 0, done.stderr
    logs = {path.stem: path.read_text() for path in (tmp_path / "build-nightly").iterdir()}
    assert set(logs) == {"chaos", "soak", "test-asan", "test-tsan", "fuzz", "bench"}
    assert "this is fuzz FUZZ_SECONDS=600" in logs["fuzz"]


def test_a_failure_is_told_and_does_not_end_the_night(nightly):
    done = nightly("chaos fuzz bench", failing="chaos")
    assert done.returncode == 1
    summary = [line.split()[1:3] for line in done.stdout.splitlines()[-3:]]
    assert summary == [["chaos", "FAILED"], ["fuzz", "ok"], ["bench", "ok"]]


def test_a_part_that_is_none_is_refused(nightly, tmp_path):
    done = nightly("chaos fuz")
    assert done.returncode == 2 and "'fuz'" in done.stderr
    assert list((tmp_path / "build-nightly").iterdir()) == []
