"""Bad input: a clear message that names the file, line or field, the right exit status, and nothing written."""

import json
import os
import signal
import socket
import subprocess

import numpy as np
import pytest
from job import children, counting_job, dense, events, history, manifest, sequential
from safetensors.numpy import save_file
from support import wait_until

MODEL = sequential((3,), dense(4, "hidden", "relu"), dense(2, "probabilities", "softmax"))
COMPILE = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}


def good_arrays():
    random = np.random.default_rng(2)
    return {
        "x": random.normal(size=(20, 3)).astype(np.float32),
        "y": random.integers(0, 2, size=20),
    }


def write_npz(folder, **changed):
    np.savez(folder / "data.npz", **{**good_arrays(), **changed})


def job(folder, model=MODEL, **fields):
    if not (folder / "data.npz").exists():
        write_npz(folder)
    return manifest(folder, model, **{"compile": COMPILE, **fields})


def with_value(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def csv(folder, *lines):
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    return job(folder, data={"uri": "data.csv", "labels": ["label"]})


def npz(folder, **changed):
    write_npz(folder, **changed)
    return job(folder)


def tokens(folder, first, width=3, value=9, **fields):
    """Tokens from 0 to 8 for a table of 9; row 7 holds `value`."""
    x = with_value(np.full((20, width), 8, np.int32), (7, 1), value)
    np.savez(folder / "data.npz", x=x, y=good_arrays()["y"])
    model = sequential((width,), *first, {"class_name": "Flatten", "config": {"name": "flat"}},
                       dense(2, "out", "softmax"))
    return job(folder, model, **fields)


def embedding(name="words"):
    return {"class_name": "Embedding", "config": {"name": name, "input_dim": 9, "output_dim": 2}}


def encoding():
    return {"class_name": "CategoryEncoding", "config": {"name": "codes", "num_tokens": 9}}


def doubled():
    return {"class_name": "Rescaling", "config": {"name": "double", "scale": 2.0}}


def embedded_csv(folder):
    (folder / "data.csv").write_text("a,b,c,label\n1,2,3,0\n1,-4,3,1\n")
    model = sequential((3,), embedding(), {"class_name": "Flatten", "config": {"name": "flat"}},
                       dense(2, "out", "softmax"))
    return job(folder, model, data={"uri": "data.csv", "labels": ["label"]})


def constrained():
    layer = dense(2, "out", "softmax")
    layer["config"]["kernel_constraint"] = {"class_name": "NonNeg", "config": {}}
    return sequential((3,), layer)


def unknown_layer():
    return sequential((3,), {"class_name": "MyLayer", "config": {"name": "special"}}, dense(2, "out", "softmax"))


# name: (write the job, exit status, what the message must say)
CASES = {
    "an unknown field": (lambda f: job(f, fit={"epoch": 3}), 2, ["job.yaml:", "spec.fit.epoch", "epochs"]),
    "a wrong type": (lambda f: job(f, fit={"epochs": "many"}), 2, ["job.yaml:", "spec.fit.epochs"]),
    "a missing data file": (lambda f: job(f, data={"uri": "none.npz"}), 2, ["spec.data.uri", "none.npz"]),
    "a missing model file": (lambda f: model_file(f, None), 2, ["spec.model.uri", "model.json"]),
    "fit with asynchronous": (lambda f: job(f, frequency="fit"), 2, ["frequency", "synchronous"]),
    "a CSV cell that is no number": (
        lambda f: csv(f, "a,b,c,label", "1,2,3,0", "1,oops,3,1"), 1, ["data.csv:3", "'b'", "oops"]),
    "a CSV row that is too short": (lambda f: csv(f, "a,b,c,label", "1,2,3,0", "1,2,3"), 1, ["data.csv:3"]),
    "an empty label cell": (lambda f: csv(f, "a,b,c,label", "1,2,3,0", "1,2,3,"), 1, ["data.csv:3", "label"]),
    "a CSV without rows": (lambda f: csv(f, "a,b,c,label"), 1, ["data.csv"]),
    "a NaN in the features": (
        lambda f: npz(f, x=with_value(good_arrays()["x"], (7, 1), np.nan)), 1, ["data.npz", "row 7"]),
    "an infinity in the features": (
        lambda f: npz(f, x=with_value(good_arrays()["x"], (7, 1), np.inf)), 1, ["data.npz", "row 7"]),
    "a label outside the classes": (
        lambda f: npz(f, y=with_value(good_arrays()["y"], 5, 2)), 1, ["data.npz, row 5: label 2", "from 0 to 1"]),
    "a negative label": (lambda f: npz(f, y=with_value(good_arrays()["y"], 5, -1)), 1, ["data.npz, row 5: label -1"]),
    "a label outside the classes in a CSV": (
        lambda f: csv(f, "a,b,c,label", "1,2,3,0", "", "1,2,3,7"), 1, ["data.csv:4: label 7"]),
    "a token outside the table": (
        lambda f: tokens(f, [embedding()]), 1,
        ["data.npz, row 7: value 9 of the model's input 'input' is outside 0 to 8, the indexes of layer 'words' "
         "(Embedding)"]),
    "a negative token": (lambda f: tokens(f, [embedding()], value=-1), 1, ["data.npz, row 7: value -1 of", "'words'"]),
    "a token outside the table in a CSV": (embedded_csv, 1, ["data.csv:3: value -4 of", "'words' (Embedding)"]),
    "a token outside the table to predict": (
        lambda f: tokens(f, [embedding()], task="predict"), 1, ["data.npz, row 7: value 9 of"]),
    "a token outside the table of a model inside": (
        lambda f: tokens(f, [sequential((3,), embedding())]), 1, ["data.npz, row 7: value 9 of", "'words'"]),
    "a category outside the encoding": (
        lambda f: tokens(f, [encoding()]), 1, ["data.npz, row 7: value 9 of", "'codes' (CategoryEncoding)"]),
    "an index that arises inside the model": (
        lambda f: tokens(f, [doubled(), embedding()]), 1,
        ["layer 'words' (Embedding) got the index", "it takes 0 to 8"]),
    "a constraint where the server makes the step": (
        lambda f: job(f, constrained(), mode="synchronous", frequency="batch"), 1,
        ["layer 'out' (Dense): weight 'out/kernel' has a constraint", "set spec.frequency to epoch or fit"]),
    "labels of another shape": (
        lambda f: npz(f, y=np.zeros((20, 3), np.int64)), 1, ["data.npz", "a row of labels has shape (3,)"]),
    "rows of another width": (
        lambda f: npz(f, x=np.zeros((20, 4), np.float32)), 1, ["data.npz", "(4,)", "(3,)"]),
    "arrays of different length": (lambda f: npz(f, y=np.zeros(19, np.int64)), 1, ["data.npz", "19", "20"]),
    "an empty dataset": (
        lambda f: npz(f, x=np.zeros((0, 3), np.float32), y=np.zeros(0, np.int64)), 1, ["data.npz"]),
    "an unknown layer": (lambda f: job(f, unknown_layer()), 1, ["spec.model.inline", "MyLayer", "special"]),
    "an unknown layer in a file": (
        lambda f: model_file(f, json.dumps(unknown_layer())), 1, ["spec.model.uri: model.json", "MyLayer", "special"]),
    "an unknown loss": (lambda f: job(f, compile={"loss": "guess"}), 2, ["spec.compile.loss", "guess"]),
    "an unknown optimizer": (
        lambda f: job(f, compile={"loss": "mse", "optimizer": "guess"}), 2, ["spec.compile.optimizer", "guess"]),
    "a GPU where there is none": (
        lambda f: job(f, workers={"device": "cuda"}), 1, ["spec.workers.device", "cuda"]),
    "NCCL where there is none": (
        lambda f: job(f, mode="synchronous", transport="nccl", workers={"device": "auto"}), 1, ["spec.transport"]),
    "a model that is not JSON": (lambda f: model_file(f, '{"class_name": "Sequential", '), 1, ["model.json"]),
    "weights of another model": (lambda f: wrong_weights(f), 1, ["start.safetensors", "hidden/kernel"]),
}


def model_file(folder, text):
    if text is not None:
        (folder / "model.json").write_text(text)
    path = job(folder)
    document = json.loads(path.read_text())
    document["spec"]["model"] = {"uri": "model.json"}
    path.write_text(json.dumps(document))
    return path


def wrong_weights(folder):
    save_file({"other/kernel": np.zeros((3, 4), np.float32)}, folder / "start.safetensors")
    return job(folder, model_weights={"uri": "start.safetensors"})


def job_files(folder):
    return {
        entry.name
        for entry in folder.iterdir()
        if not entry.name.startswith("process-")  # the test's own record of output
    }


@pytest.mark.parametrize("name", CASES)
def test_is_refused_with_a_message_and_writes_nothing(tmp_path, elephas, name):
    write, status, fragments = CASES[name]
    path = write(tmp_path)
    before = job_files(tmp_path)
    process = elephas("run", path)
    assert process.wait(60) == status, process.output
    for fragment in fragments:
        assert fragment in process.output, process.output
    assert job_files(tmp_path) == before


def test_validate_gives_the_verdict_of_run(tmp_path, elephas):
    good, bad = job(tmp_path), tmp_path / "bad.yaml"
    bad.write_text(good.read_text().replace('"kind": "ElephasJob"', '"kind": "ElephasJob", "extra": 1'))
    valid = elephas("validate", good)
    assert valid.wait() == 0, valid.output
    invalid = elephas("validate", bad)
    assert invalid.wait() == 2
    assert "extra" in invalid.stderr


def test_a_port_in_use_is_named(tmp_path, elephas):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = elephas("run", job(tmp_path, parameterServers={"port": port}))
        assert process.wait(60) == 1, process.output
        assert str(port) in process.output and "in use" in process.output
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs: " + mounted.stderr.decode())
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_fails_the_job_and_leaves_nothing_half_written(tmp_path, elephas, small_disk):
    wide = sequential((3,), dense(40_000, "wide"), dense(2, "probabilities", "softmax"))
    path = job(tmp_path, wide, output={"uri": str(small_disk / "out")})
    process = elephas("run", path)
    assert process.wait(60) == 1, process.output
    assert "No space left on device" in process.output
    left = [entry.name for entry in (small_disk / "out").iterdir()] if (small_disk / "out").exists() else []
    assert left == []


def test_predictions_that_do_not_fit_on_the_disk_fail_the_job(tmp_path, elephas, small_disk):
    np.save(tmp_path / "rows.npy", np.zeros((20, 3), np.float32))
    path = manifest(
        tmp_path,
        sequential((3,), dense(40_000, "wide")),
        task="predict",
        data={"uri": "rows.npy"},
        output={"uri": str(small_disk / "out")},
    )
    process = elephas("run", path)
    assert process.wait(60) == 1, process.output
    assert "No space left on device" in process.output
    assert not (small_disk / "out").exists() or list((small_disk / "out").iterdir()) == []


def test_a_loss_that_becomes_nan_fails_the_job(tmp_path, elephas):
    hot = {"class_name": "SGD", "config": {"learning_rate": 1e30}}
    path = job(
        tmp_path,
        sequential((3,), dense(2, "linear")),
        compile={"optimizer": hot, "loss": "mse"},
        fit={"epochs": 30},
    )
    np.savez(tmp_path / "data.npz", x=np.ones((20, 3), np.float32), y=np.ones((20, 2), np.float32))
    process = elephas("run", path)
    assert process.wait(60) == 1, process.output
    assert "onNaN" in process.output or "NaN" in process.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number,status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_stops_every_process_and_leaves_nothing_half_written(tmp_path, elephas, number, status):
    path = counting_job(
        tmp_path,
        64,
        fit={"epochs": 100_000, "batchSize": 1},
        workers_replicas=2,
    )
    process = elephas("run", path, "--json")
    wait_until(lambda: any(e["event"] == "epoch" for e in events(process.stdout)), 60, "an epoch")
    family = [pid for pids in children(process.pid).values() for pid in pids]
    assert len(family) == 3
    process.signal(number)
    assert process.wait(30) == status, process.output
    assert not any(os.path.exists(f"/proc/{pid}") for pid in family)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number,status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_predict_leaves_nothing_half_written(tmp_path, elephas, number, status):
    np.save(tmp_path / "rows.npy", np.zeros((200_000, 3), np.float32))
    path = manifest(
        tmp_path,
        sequential((3,), dense(64, "hidden"), dense(2, "out")),
        task="predict",
        data={"uri": "rows.npy"},
        fit={"batchSize": 1},
        workers_replicas=2,
    )
    process = elephas("run", path, "--json")
    wait_until(lambda: list(tmp_path.glob("out/.*.rows")), 60, "rows of predictions")
    process.signal(number)
    assert process.wait(30) == status, process.output
    assert list((tmp_path / "out").iterdir()) == []


def test_workers_that_keep_dying_fail_the_job_at_the_backoff_limit(tmp_path, elephas):
    path = counting_job(
        tmp_path,
        64,
        fit={"epochs": 100_000, "batchSize": 1},
        runPolicy={"backoffLimit": 2},
    )
    process = elephas("run", path, "--json")

    def kill_a_worker():
        for pid in children(process.pid).get("elephas-worker", []):
            os.kill(pid, signal.SIGKILL)
        return process.popen.poll() is not None

    wait_until(kill_a_worker, 60, "the job's end")
    assert process.wait() == 1, process.output
    assert "backoffLimit" in process.output


def test_a_manifest_that_is_overridden_is_checked_after_it(tmp_path, elephas):
    path = job(tmp_path)
    process = elephas("run", path, "--set", "spec.fit.epochs=0")
    assert process.wait() == 2
    assert "spec.fit.epochs" in process.output
    process = elephas("run", path, "--quiet", "--set", "spec.fit.epochs=2")
    assert process.wait(60) == 0, process.output
    assert len(history(tmp_path)["loss"]) == 2
