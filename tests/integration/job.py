"""Small jobs whose results are known in closed form, and running them as a user would."""

import json
import os
import pathlib
import zipfile

import numpy as np
from safetensors.numpy import load_file


def dense(units, name, activation="linear", use_bias=True, initializer="glorot_uniform"):
    return {
        "class_name": "Dense",
        "config": {
            "name": name,
            "units": units,
            "activation": activation,
            "use_bias": use_bias,
            "kernel_initializer": {"class_name": initializer, "config": {}},
            "bias_initializer": {"class_name": "Zeros", "config": {}},
        },
    }


def sequential(input_shape, *layers):
    first = {
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, *input_shape], "dtype": "float32", "name": "input"},
    }
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [first, *layers]}}


# One weight per example: the features are the unit matrix and the loss is the sum of |w_i - y_i| with y far below,
# so every time example i is applied, w_i goes down by exactly the learning rate, whatever else is applied. The
# final weights count how often each example was.
COUNTING_LOSS = {"class_name": "MeanAbsoluteError", "config": {"reduction": "sum"}}


def counting_data(folder, examples):
    np.savez(
        folder / "data.npz",
        x=np.eye(examples, dtype=np.float32),
        y=np.full((examples, 1), -1e6, dtype=np.float32),
    )


def manifest(folder, model, **fields):
    """A manifest as a dict; `fields` are paths below spec with '_' for '.': fit_epochs=3."""
    spec = {
        "task": "train",
        "model": {"inline": model},
        "data": {"uri": "data.npz"},
        "workers": {"replicas": 1, "device": "cpu"},
        "output": {"uri": "out"},
    }
    for path, value in fields.items():
        *parents, name = path.split("_")
        target = spec
        for parent in parents:
            target = target.setdefault(parent, {})
        target[name] = value
    document = {
        "apiVersion": "elephas.dev/v1alpha1",
        "kind": "ElephasJob",
        "metadata": {"name": "test"},
        "spec": spec,
    }
    path = pathlib.Path(folder) / "job.yaml"
    path.write_text(json.dumps(document, indent=1))  # JSON is YAML
    return path


def counting_job(folder, examples, **fields):
    counting_data(folder, examples)
    model = sequential((examples,), dense(1, "counter", use_bias=False, initializer="zeros"))
    return manifest(
        folder,
        model,
        compile={
            "optimizer": {"class_name": "SGD", "config": {"learning_rate": 1.0}},
            "loss": COUNTING_LOSS,
        },
        **fields,
    )


def counts(folder):
    """How often each example was applied, from the final weights of a counting job."""
    return -load_file(folder / "out" / "model.safetensors")["counter/kernel"][:, 0]


def history(folder):
    return json.loads((folder / "out" / "history.json").read_text())


def events(text):
    """The lines of `elephas run --json`."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def children(pid):
    """{name of the program: [pids]} of a process' children."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            program = os.path.basename(os.readlink(entry / "exe"))
        except OSError:
            continue  # it ended meanwhile
        parent = int(stat.rsplit(")", 1)[1].split()[1])
        if parent == pid:
            found.setdefault(program, []).append(int(entry.name))
    return {program: sorted(pids) for program, pids in found.items()}


def change_config(path, change):
    """Lets `change` edit the config.json inside of a .keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
