"""Training throughput of a job beside LibTorch alone, in the same minutes on the same machine.

MLP 784-128-128-10, 60,000 examples, SGD 0.1, batch 64, one thread per process:

    two bare loops side by side     bench/bare_loop.cc, 30,000 rows each; their sum
    a job with two workers          asynchronous, once per epoch, one parameter server, REST over loopback

Runs the two in turn and prints each figure's median and the ratio pair by pair, because these figures drift with the
machine. usage: training.py BIN_DIR BARE_LOOP [REPEATS]
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

ROWS, EPOCHS, BATCH = 60_000, 6, 64


def dense(name, units, activation):
    return {"class_name": "Dense", "config": {"name": name, "units": units, "activation": activation}}


def write_job(folder):
    random = np.random.default_rng(1)
    np.savez(
        folder / "data.npz",
        x=random.random((ROWS, 784), dtype=np.float32),
        y=random.integers(0, 10, ROWS),
    )
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 784], "dtype": "float32", "name": "input"}},
        dense("first", 128, "relu"),
        dense("second", 128, "relu"),
        dense("probabilities", 10, "softmax"),
    ]
    job = {
        "apiVersion": "elephas.dev/v1alpha1",
        "kind": "ElephasJob",
        "metadata": {"name": "bench"},
        "spec": {
            "mode": "asynchronous",
            "frequency": "epoch",
            "model": {"inline": {"class_name": "Sequential", "config": {"name": "mlp", "layers": layers}}},
            "compile": {
                "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1 / 8}},
                "loss": "sparse_categorical_crossentropy",
            },
            "fit": {"epochs": EPOCHS, "batchSize": BATCH, "seed": 1},
            "data": {"uri": "data.npz", "partitions": 8},
            "workers": {"replicas": 2, "device": "cpu", "threads": 1},
            "output": {"uri": "out"},
        },
    }
    (folder / "job.yaml").write_text(json.dumps(job))


def bare_loops(program):
    command = [program, str(ROWS // 2), str(EPOCHS), str(BATCH)]
    loops = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return sum(float(loop.communicate()[0]) for loop in loops)


def job(bin_dir, folder):
    subprocess.run([bin_dir / "elephas", "run", folder / "job.yaml", "--quiet"], check=True)
    history = json.loads((folder / "out" / "history.json").read_text())
    # As for the bare loops, the first epoch warms up.
    return sum(history["examples"][1:]) / sum(history["seconds"][1:])


def main():
    bin_dir, bare = pathlib.Path(sys.argv[1]), sys.argv[2]
    repeats = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_job(folder)
        pairs = [(bare_loops(bare), job(bin_dir, folder)) for _ in range(repeats)]
    ratios = sorted(ours / theirs for theirs, ours in pairs)
    print("| examples/s | median | all |")
    print("| --- | ---: | --- |")
    for title, figures in (("two bare loops", [p[0] for p in pairs]), ("job, two workers", [p[1] for p in pairs])):
        print(f"| {title} | {statistics.median(figures):,.0f} | {', '.join(f'{f:,.0f}' for f in figures)} |")
    print(f"| **ratio** | **{statistics.median(ratios):.2f}** | {', '.join(f'{r:.2f}' for r in ratios)} |")


if __name__ == "__main__":
    main()
