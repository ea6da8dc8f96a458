import pytest

from fake_job import Job


@pytest.fixture
def elephas(processes, bin_dir):
    """elephas("run", path, …) -> Process."""

    def start(*arguments, **options):
        return processes(bin_dir / "elephas", *arguments, **options)

    return start


@pytest.fixture
def job(tmp_path, elephas):
    folder = tmp_path / "job"
    folder.mkdir()
    return Job(folder, elephas)
