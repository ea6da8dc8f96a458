"""Model files that are broken or made to hurt: one clear error that names the file, and nothing is written."""

import json
import os
import struct
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from job import change_config, manifest


@pytest.fixture
def saved(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((8, 4), np.float32), y=np.zeros((8, 3), np.float32))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")])
    model.compile("sgd", loss="mse")
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    model.save_weights(tmp_path / "model.weights.h5")
    (tmp_path / "model.json").write_text(model.to_json())
    return tmp_path


def job(folder, uri, weights=None):
    path = manifest(folder, None, compile={"loss": "mse"})
    document = json.loads(path.read_text())
    document["spec"]["model"] = {"uri": uri, **({"weights": {"uri": weights}} if weights else {})}
    path.write_text(json.dumps(document))
    return path


def refuse(elephas, folder, uri, *messages, weights=None):
    process = elephas("run", job(folder, uri, weights))
    assert process.wait(60) == 1, process.output
    for message in (*messages, weights or uri):
        assert message in process.output
    assert not list(folder.glob("out/*"))


def layer(config, index):
    return config["config"]["layers"][index]


@pytest.mark.parametrize("uri", ["model.keras", "model.h5"])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_truncated_models(elephas, saved, uri, share):
    whole = (saved / uri).read_bytes()
    (saved / uri).write_bytes(whole[: int(len(whole) * share)])
    refuse(elephas, saved, uri, "not a whole")


def test_truncated_weights(elephas, saved):
    whole = (saved / "model.weights.h5").read_bytes()
    (saved / "model.weights.h5").write_bytes(whole[:900])
    refuse(elephas, saved, "model.json", "not a whole HDF5 file", weights="model.weights.h5")
    (saved / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    refuse(elephas, saved, "model.json", weights="model.safetensors")


# A process of its own: what starts from here would be counted with the memory of this one.
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
print(json.dumps([done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, done.stdout]))
"""


def memory_and_output(bin_dir, path):
    """Exit status of a job, peak memory in MB of the largest process that it starts, and what it prints."""
    measure = [sys.executable, "-c", MEASURE, bin_dir / "elephas", "run", path]
    return json.loads(subprocess.run(measure, stdout=subprocess.PIPE, check=True, timeout=100).stdout)


LIMIT = 64 * 15 + (64 << 20)  # 15 parameters
MEGABYTES = 600


def archive_with_large_weights(folder, name):
    source = zipfile.ZipFile(folder / "model.keras")
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("config.json", source.read("config.json"))
        bomb.writestr("metadata.json", source.read("metadata.json"))
        with bomb.open("model.weights.h5", "w", force_zip64=True) as member:
            for _ in range(MEGABYTES):
                member.write(bytes(1_000_000))
    return f"member 'model.weights.h5' claims 600000000 bytes, more than {LIMIT}"


def dataset_that_nobody_asked_for(folder, name):
    os.rename(folder / "model.h5", folder / name)
    with h5py.File(folder / name, "r+") as file:
        file["model_weights/dense"].create_dataset(
            "extra", (MEGABYTES // 4, 1_000_000), "f4", chunks=(1, 1_000_000), compression="gzip", compression_opts=9)
        for i in range(MEGABYTES // 4):
            file["model_weights/dense/extra"][i] = 0
    return (f"'model_weights/dense/extra' brings the data to 600000000 bytes, more than the {LIMIT} "
            "that the model can need")


def small_dataset_in_a_large_chunk(folder, name):
    os.rename(folder / "model.h5", folder / name)
    with h5py.File(folder / name, "r+") as file:
        group = file["model_weights/dense"]
        weight = group.attrs["weight_names"][0]
        del group[weight]
        group.create_dataset(weight, (4, 3), "f4", maxshape=(None, None), chunks=(150_000, 1000), compression="gzip",
                             compression_opts=9)
        group[weight][:] = 0
    return f"brings the data to 600000000 bytes, more than the {LIMIT} that the model can need"


@pytest.mark.parametrize("make", [
    archive_with_large_weights, dataset_that_nobody_asked_for, small_dataset_in_a_large_chunk],
    ids=lambda make: make.__name__)
def test_small_files_that_inflate_to_hundreds_of_megabytes(bin_dir, saved, make):
    status, usual, _ = memory_and_output(bin_dir, job(saved, "model.keras"))
    assert status == 0
    name = "bomb.keras" if make is archive_with_large_weights else "bomb.h5"
    message = make(saved, name)
    assert (saved / name).stat().st_size < 1_000_000
    (saved / "out" / "model.keras").unlink()
    status, peak, output = memory_and_output(bin_dir, job(saved, name))
    assert status == 1 and name in output and message in output, output
    assert peak < usual + 100, f"{peak:.0f} MB, a job that works takes {usual:.0f} MB"
    assert not (saved / "out" / "model.keras").exists()


def test_links_that_lead_elsewhere(elephas, saved):
    for link in (h5py.ExternalLink("/etc/passwd", "/x"), h5py.SoftLink("/layers/dense/vars/1")):
        with h5py.File(saved / "model.weights.h5", "r+") as file:
            del file["layers/dense/vars/0"]
            file["layers/dense/vars/0"] = link
        refuse(elephas, saved, "model.json", "'layers/dense/vars/0' is a link", weights="model.weights.h5")


def test_a_dataset_that_claims_more_than_there_is(elephas, saved):
    with h5py.File(saved / "model.h5", "r+") as file:
        group = file["model_weights/dense"]
        name = group.attrs["weight_names"][0]
        del group[name]
        group.create_dataset(name, (1 << 20, 1 << 20), "f4", chunks=(1024, 1024), compression="gzip")
    refuse(elephas, saved, "model.h5", "claims more data than the file can hold")


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda c: layer(c, 1)["config"].update(units=10**15), "dense"),
        (lambda c: layer(c, 1)["config"].update(units=-3), "dense"),
        (lambda c: layer(c, 1)["config"].update(units="many"), "dense"),
        (lambda c: layer(c, 0)["config"].update(batch_shape=[None, 2**62]), "layers[0]"),
        (lambda c: layer(c, 1).update(class_name="Lambda"), "Lambda"),
        (lambda c: layer(c, 1).update(class_name="os.system"), "os.system"),
        (lambda c: c["config"].update(layers={}), "layers"),
        (lambda c: c.update(class_name="Sequential", config=None), "config"),
    ],
    ids=["giant", "negative", "text", "giant input", "Lambda", "custom", "no layers", "no config"],
)
def test_hostile_configs(elephas, saved, change, message):
    change_config(saved / "model.keras", change)
    # The model's own errors name the layer; the file is the manifest's only model.
    process = elephas("run", job(saved, "model.keras"))
    assert process.wait(60) == 1, process.output
    assert message in process.output
    assert not list(saved.glob("out/*"))


def test_a_model_inside_itself(elephas, saved):
    (saved / "deep.json").write_text('{"a":' * 100000 + "1" + "}" * 100000)
    refuse(elephas, saved, "deep.json", "nested deeper than 256 levels")
    config = json.loads((saved / "model.json").read_text())
    for _ in range(60):
        config = {
            "class_name": "Sequential",
            "module": "keras",
            "config": {"name": "outer", "layers": [layer(config, 0), config]},
        }
    (saved / "deep.json").write_text(json.dumps(config))
    process = elephas("run", job(saved, "deep.json"))
    assert process.wait(60) in (0, 1), process.output  # not a crash


def test_names_that_climb_out_of_the_archive(elephas, saved):
    with zipfile.ZipFile(saved / "model.keras", "a") as archive:
        archive.writestr("../../climbed", "x")
    refuse(elephas, saved, "model.keras", "member '../../climbed' climbs out")


def test_numbers_that_are_none(elephas, saved):
    with h5py.File(saved / "model.weights.h5", "r+") as file:
        file["layers/dense/vars/0"][0, 0] = np.nan
    refuse(elephas, saved, "model.json", "dense/kernel", weights="model.weights.h5")


def test_members_of_another_kind(elephas, saved):
    with h5py.File(saved / "model.weights.h5", "r+") as file:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset("0", data=np.array([b"abc"] * 12).reshape(4, 3))
    refuse(elephas, saved, "model.json", "dense/kernel", weights="model.weights.h5")
