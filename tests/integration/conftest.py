import pytest


@pytest.fixture
def elephas(processes, bin_dir):
    """elephas("run", path, …) -> Process."""

    def start(*arguments, **options):
        return processes(bin_dir / "elephas", *arguments, **options)

    return start


@pytest.fixture
def run(elephas):
    """Runs a manifest to its end and gives the finished process; the job must succeed."""

    def start(path, *arguments, timeout=120.0, **options):
        process = elephas("run", path, *arguments, **options)
        status = process.wait(timeout)
        assert status == 0, process.output
        return process

    return start
