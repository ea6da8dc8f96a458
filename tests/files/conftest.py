import subprocess

import pytest


class Refused(Exception):
    """The probe said no; the text is the message."""


def runner(program):
    assert program.is_file(), f"{program} is missing"

    def run(*arguments):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=300)
        if done.returncode == 1:
            raise Refused(done.stderr.strip())
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr}"
        return done.stdout

    run.Refused = Refused
    return run


@pytest.fixture(scope="session")
def probe(bin_dir):
    """probe(subcommand, *arguments): runs files_probe, raises Refused with its message when it refuses."""
    return runner(bin_dir.parent / "test-bin" / "files_probe")


@pytest.fixture(scope="session")
def keras_probe(bin_dir):
    """The same with keras_file_probe."""
    return runner(bin_dir.parent / "test-bin" / "keras_file_probe")
