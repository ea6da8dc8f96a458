"""Training speed per core beside TensorFlow's Keras: the models of examples/mnist-cnn and examples/lstm-text.

    ours      a job with one worker: `elephas run`, parameter server and worker, all on one core
    Keras     model.fit by TensorFlow on the same core, one thread, jit_compile as Keras chooses ("auto"): XLA for the
              convolutional network, not for the LSTM. The other way is measured once, to know it

The two run in turn on the same core. Besides the wall clock each side's CPU time counts: on a machine that is busy with
other work only that is a measure of the programs. Of ours it is the CPU time of all of the job's processes. The first
epoch of both warms up and is left out.

usage: keras_speed.py BIN_DIR TENSORFLOW_PYTHON [PAIRS]
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = SOURCE / "examples"
CORE = max(os.sched_getaffinity(0))


@dataclasses.dataclass
class Case:
    title: str
    folder: str  # below examples/
    data_command: list
    loss: str
    batch: int
    epochs: int
    model_arguments: str = ""
    optimizer = {"class_name": "Adam", "config": {"learning_rate": 0.001}}


def text(rows):
    return [EXAMPLES / "lstm-text" / "make_data.py", "--synthetic", "--rows", str(rows)]


CASES = [
    Case(
        "MNIST CNN, batch 128",
        "mnist-cnn",
        [EXAMPLES / "make_mnist.py", "--digits", "--rows", "2560"],
        "sparse_categorical_crossentropy",
        128,
        4,
    ),
    Case(
        "LSTM, 80 words, padding masked, batch 32",
        "lstm-text",
        text(3200),
        "binary_crossentropy",
        32,
        4,
    ),
    Case(
        "LSTM, 80 words, no mask, batch 32",
        "lstm-text",
        text(3200),
        "binary_crossentropy",
        32,
        4,
        "masked=False",
    ),
]


def pinned():
    os.sched_setaffinity(0, {CORE})


def cpu_seconds(root):
    """CPU time so far of a process and all below it, those that ended and were waited for included."""
    seconds = 0.0
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        seconds += sum(int(ticks) for ticks in stat[11:15]) / os.sysconf("SC_CLK_TCK")
        waiting += children
    return seconds


def ours(bin_dir, folder, case, request):
    job = {
        "apiVersion": "elephas.dev/v1alpha1",
        "kind": "ElephasJob",
        "metadata": {"name": "bench"},
        "spec": {
            "mode": "asynchronous",
            "frequency": "epoch",
            "model": {"uri": request["model"]},
            "compile": {"optimizer": case.optimizer, "loss": case.loss, "metrics": ["accuracy"]},
            "fit": {"epochs": case.epochs, "batchSize": case.batch, "seed": 1},
            "data": {"uri": request["data"], "features": ["x"], "labels": ["y"], "partitions": 1},
            "workers": {"replicas": 1, "device": "cpu", "threads": 1},
            "output": {"uri": "out"},
        },
    }
    (folder / "job.yaml").write_text(json.dumps(job))
    process = subprocess.Popen(
        [bin_dir / "elephas", "run", folder / "job.yaml", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pinned,
    )
    ends = []
    for line in process.stdout:
        if json.loads(line).get("event") == "epoch":
            ends.append(cpu_seconds(process.pid))
    if process.wait() != 0:
        sys.exit("the job failed")
    history = json.loads((folder / "out" / "history.json").read_text())
    examples = history["examples"][0]
    return {
        "wall": [examples / seconds for seconds in history["seconds"]][1:],
        "cpu": [examples * (len(ends) - 1) / (ends[-1] - ends[0])],
    }


def keras_fit(python, folder, request, jit_compile):
    path = folder / "request.json"
    path.write_text(json.dumps({**request, "jit_compile": jit_compile}))
    done = subprocess.run(
        [python, SOURCE / "bench" / "keras_fit.py", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=pinned,
    )
    if done.returncode != 0:
        sys.exit(done.stderr)
    speeds = json.loads(done.stdout.splitlines()[-1])
    return {name: values[1:] for name, values in speeds.items()}


def prepare(folder, case):
    data = folder / "data.npz"
    subprocess.run([sys.executable, *case.data_command, "--output", data], check=True)
    code = f"from make_model import make_model; print(make_model({case.model_arguments}).to_json())"
    model = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(EXAMPLES / case.folder)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    (folder / "model.json").write_text(model.stdout)
    return {
        "model": str(folder / "model.json"),
        "data": str(data),
        "batch": case.batch,
        "epochs": case.epochs,
        "optimizer": case.optimizer,
        "loss": case.loss,
    }


def versions(python):
    code = "import os; os.environ['TF_CPP_MIN_LOG_LEVEL']='3'; import tensorflow, keras; print(tensorflow.__version__, keras.__version__)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def report(title, pairs, other):
    for clock, name in (("cpu", "CPU"), ("wall", "wall")):
        ours, keras = ([statistics.median(side[clock]) for side in sides] for sides in zip(*pairs))
        ratios = sorted(a / b for a, b in zip(ours, keras))
        print(
            f"| {title} | {name} | {statistics.median(ours):,.0f} | {statistics.median(keras):,.0f} | "
            f"**{statistics.median(ratios):.2f}** | {ratios[0]:.2f} to {ratios[-1]:.2f} | "
            f"{statistics.median(other[clock]):,.0f} |",
            flush=True,
        )


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    bin_dir, python = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) == 4 else 3
    tensorflow, keras = versions(python)
    print(f"training on one core beside TensorFlow {tensorflow}, Keras {keras}; examples per second, medians of {count} pairs")
    print("| model | clock | a job | Keras fit | ratio | ratios from, to | fit, other jit_compile |")
    print("| --- | --- | ---: | ---: | ---: | --- | ---: |")
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            request = prepare(folder, case)
            pairs = []
            for _ in range(count):
                us = ours(bin_dir, folder, case, request)
                pairs.append((us, keras_fit(python, folder, request, "auto")))
            other = keras_fit(python, folder, request, case.folder == "lstm-text")
        report(case.title, pairs, other)


if __name__ == "__main__":
    main()
