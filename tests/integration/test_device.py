"""Where a worker computes on a machine without a GPU, with no driver or a broken one; and that the NCCL part, which was
built all the same, says why it cannot be used."""

import json

import numpy as np
import pytest
from job import counting_job, counts
from test_bad_input import job as training_job


@pytest.fixture
def driver(bin_dir):
    """Environment of a machine whose driver gives these numbers."""

    def make(error=0, devices=1):
        return {
            "LD_LIBRARY_PATH": str(bin_dir.parent / "test-bin" / "fake-driver"),
            "ELEPHAS_FAKE_CUDA_INIT": str(error),
            "ELEPHAS_FAKE_CUDA_DEVICES": str(devices),
        }

    return make


BROKEN = {
    "a driver that does not start": ({"error": 999}, "the NVIDIA driver does not work: cuInit gives error 999"),
    "a driver without a GPU": ({"error": 100}, "the NVIDIA driver sees no GPU"),
    "a driver that counts no GPU": ({"devices": 0}, "the NVIDIA driver sees no GPU"),
    "a driver without LibTorch's CUDA libraries": ({}, "LibTorch's CUDA library cannot be opened"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_driver_is_named(processes, bin_dir, driver, name):
    numbers, message = BROKEN[name]
    probe = processes(bin_dir / "elephas-worker", "--probe-device", env=driver(**numbers))
    assert probe.wait(60) == 1
    assert message in probe.stderr


def test_auto_computes_on_the_cpu_when_the_driver_is_broken(tmp_path, elephas, driver):
    path = counting_job(tmp_path, 16, workers={"replicas": 1, "device": "auto"}, fit={"epochs": 2, "batchSize": 4})
    process = elephas("run", path, "--quiet", env=driver(error=999))
    assert process.wait(120) == 0, process.output
    np.testing.assert_array_equal(counts(tmp_path), np.full(16, 2))


def test_cuda_fails_the_job_when_the_driver_is_broken(tmp_path, elephas, driver):
    path = training_job(tmp_path, workers={"device": "cuda"})
    process = elephas("run", path, env=driver(error=999))
    assert process.wait(120) == 1, process.output
    assert "spec.workers.device is cuda, but the NVIDIA driver does not work" in process.output
    assert not (tmp_path / "out").exists()


def test_the_nccl_part_loads_and_says_that_there_is_no_gpu(tmp_path, elephas, bin_dir):
    path = training_job(tmp_path, mode="synchronous", transport="nccl", workers={"device": "auto"})
    library = bin_dir / "libelephas_nccl.so"
    process = elephas("run", path, env={"ELEPHAS_COLLECTIVE": str(library)})
    assert process.wait(120) == 1, process.output
    assert "spec.transport is nccl, but NCCL cannot be used" in process.output


@pytest.mark.parametrize("precision", ["tf32", "mixed_bfloat16"])
def test_lower_precision_trains_nearly_the_same(tmp_path, run, precision):
    losses = []
    for name in ("float32", precision):
        folder = tmp_path / name
        folder.mkdir()
        path = training_job(folder, mode="synchronous", fit={"epochs": 3, "seed": 4})
        document = json.loads(path.read_text())
        document["spec"]["workers"]["precision"] = name
        path.write_text(json.dumps(document))
        run(path, "--quiet")
        losses.append(json.loads((folder / "out" / "history.json").read_text())["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
    if precision == "mixed_bfloat16":
        assert losses[0] != losses[1]
