"""Training on a GPU measured: run by `make gpu-bench`, or by hand with a folder of prebuilt programs:

    LD_LIBRARY_PATH=… python3 bench/gpu/gpu_bench.py build/gpu

1. examples per second of four models, a job with one worker beside the same model in PyTorch eager (where this Python
   has torch), in turn on the same GPU;
2. a job's step beside a bare LibTorch loop over the same layers;
3. all-reduce by the worker's collective beside NCCL's own calls, two ranks on this GPU.

No network but loopback. Prints tables for docs/performance.md. Exit status 77: there is no GPU. --rehearse goes through
all of it in small on the CPU, for machines without one; its figures mean nothing.
"""

import argparse
import array
import json
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

try:
    import torch
except ImportError:
    torch = None

NO_GPU = 77
HERE = pathlib.Path(__file__).resolve().parent

# model: (rows, batch, shape of a row, integers below, epochs)
MODELS = {
    "mlp": (65536, 256, (784,), None, 6),
    "cnn": (16384, 128, (32, 32, 3), None, 4),
    "resnet18": (8192, 128, (32, 32, 3), None, 4),
    "transformer": (4096, 32, (128,), 1000, 4),
}


PRECISIONS = ("float32", "tf32", "mixed_bfloat16")


def npy(shape, kind, values):
    """Bytes of a .npy file; kind: '<f4' or '<i8'."""
    header = repr({"descr": kind, "fortran_order": False, "shape": shape})
    header += " " * (63 - (len(header) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values.tobytes()


def write_data(path, rows, shape, tokens):
    choose = random.Random(1)
    size = 1
    for extent in shape:
        size *= extent
    if tokens:
        x = npy((rows, *shape), "<i8", array.array("q", (choose.randrange(tokens) for _ in range(rows * size))))
    else:
        # One block of noise, again and again: what the numbers are does not matter, drawing them takes long.
        block = array.array("f", (choose.random() for _ in range(65536)))
        values = block * (rows * size // len(block) + 1)
        x = npy((rows, *shape), "<f4", values[: rows * size])
    y = npy((rows,), "<i8", array.array("q", (choose.randrange(10) for _ in range(rows))))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", y)


def run_job(programs, folder, model, rows, batch, epochs, device, precision, **variables):
    """Examples per second of the epochs after the first."""
    job = {
        "apiVersion": "elephas.dev/v1alpha1",
        "kind": "ElephasJob",
        "metadata": {"name": "bench"},
        "spec": {
            "mode": "synchronous",
            "frequency": "epoch",
            "model": {"inline": json.loads(model.read_text()) if isinstance(model, pathlib.Path) else model},
            "compile": {
                "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.01}},
                "loss": "sparse_categorical_crossentropy",
            },
            "fit": {"epochs": epochs, "batchSize": batch, "seed": 1},
            "data": {"uri": "data.npz", "partitions": 1},
            "workers": {"replicas": 1, "device": device, "precision": precision},
            "transport": "rest",
            "output": {"uri": f"out-{time.monotonic_ns()}"},
        },
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    subprocess.run([programs / "elephas", "run", path, "--quiet"], check=True, stdout=subprocess.DEVNULL, env=os.environ | variables)
    history = json.loads((folder / job["spec"]["output"]["uri"] / "history.json").read_text())
    return sum(history["examples"][1:]) / sum(history["seconds"][1:])


def torch_model(name):
    nn = torch.nn
    if name == "mlp":
        return nn.Sequential(
            nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
        )
    if name == "cnn":
        return nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128 * 8 * 8, 10),
        )
    if name == "resnet18":

        class Block(nn.Module):
            def __init__(self, inputs, outputs, stride):
                super().__init__()
                self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
                self.first_norm = nn.BatchNorm2d(outputs)
                self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
                self.second_norm = nn.BatchNorm2d(outputs)
                self.shortcut = nn.Sequential()
                if stride != 1 or inputs != outputs:
                    self.shortcut = nn.Sequential(
                        nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                    )

            def forward(self, x):
                y = torch.relu(self.first_norm(self.first(x)))
                return torch.relu(self.second_norm(self.second(y)) + self.shortcut(x))

        widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1),
                  (256, 512, 2), (512, 512, 1)]
        return nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            *(Block(*width) for width in widths), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
        )

    class Transformer(nn.Module):
        def __init__(self, tokens=1000, width=256, heads=4, depth=4):
            super().__init__()
            self.embedding = nn.Embedding(tokens, width)
            self.parts = nn.ModuleList(
                nn.ModuleList(
                    [
                        nn.LayerNorm(width),
                        nn.MultiheadAttention(width, heads, batch_first=True),
                        nn.LayerNorm(width),
                        nn.Linear(width, 4 * width),
                        nn.Linear(4 * width, width),
                    ]
                )
                for _ in range(depth)
            )
            self.head = nn.Linear(width, 10)

        def forward(self, x):
            x = self.embedding(x)
            for first_norm, attention, second_norm, wide, narrow in self.parts:
                y = first_norm(x)
                x = x + attention(y, y, y, need_weights=False)[0]
                x = x + narrow(torch.relu(wide(second_norm(x))))
            return self.head(x.mean(1))

    return Transformer()


def run_torch(name, rows, batch, shape, tokens, epochs, device, precision):
    """PyTorch eager as a tutorial has it: data on the host, each batch gathered, pinned and copied."""
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
    model = torch_model(name).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.randint(0, tokens, (rows, *shape)) if tokens else torch.rand(rows, *shape)
    if len(shape) == 3:
        x = x.permute(0, 3, 1, 2).contiguous()
    y = torch.randint(0, 10, (rows,))
    pin = device == "cuda"
    seconds = 0.0
    for epoch in range(epochs):
        began = time.monotonic()
        order = torch.randperm(rows)
        total = torch.zeros((), device=device)
        for first in range(0, rows, batch):
            index = order[first : first + batch]
            inputs, labels = x[index], y[index]
            if pin:
                inputs, labels = inputs.pin_memory(), labels.pin_memory()
            inputs, labels = inputs.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=precision == "mixed_bfloat16"):
                loss = torch.nn.functional.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()
        if epoch > 0:
            seconds += time.monotonic() - began
    return rows * (epochs - 1) / seconds


def in_turn(repeats, *runs):
    """Median of each, run one after the other so that all see the same machine."""
    figures = [[run() for run in runs] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*figures)]


def models_table(options, folder, device):
    print("| model | precision | job, examples/s | PyTorch eager, examples/s | ratio |")
    print("| --- | --- | ---: | ---: | ---: |")
    chosen = {"mlp": (2048, 256, (784,), None, 2)} if options.rehearse else {
        name: MODELS[name] for name in options.models
    }
    for name, (rows, batch, shape, tokens, epochs) in chosen.items():
        place = folder / name
        place.mkdir()
        write_data(place / "data.npz", rows, shape, tokens)
        for precision in options.precisions:

            def ours():
                return run_job(
                    options.programs, place, HERE / "models" / f"{name}.json", rows, batch, epochs, device, precision
                )

            def theirs():
                return run_torch(name, rows, batch, shape, tokens, epochs, device, precision)

            if torch is None:
                (figure,) = in_turn(options.repeats, ours)
                print(f"| {name} | {precision} | {figure:,.0f} | no torch in this Python | |", flush=True)
            else:
                figure, eager = in_turn(options.repeats, ours, theirs)
                print(f"| {name} | {precision} | {figure:,.0f} | {eager:,.0f} | {figure / eager:.2f} |", flush=True)


def overhead(options, folder, device):
    rows, batch, epochs = (2048, 64, 2) if options.rehearse else (65536, 64, 6)

    def dense(name, units, activation):
        return {"class_name": "Dense", "config": {"name": name, "units": units, "activation": activation}}

    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 784], "dtype": "float32", "name": "input"}}
    model = {
        "class_name": "Sequential",
        "config": {
            "name": "mlp",
            "layers": [first, dense("first", 128, "relu"), dense("second", 128, "relu"), dense("last", 10, "softmax")],
        },
    }
    place = folder / "overhead"
    place.mkdir()
    write_data(place / "data.npz", rows, (784,), None)
    bare = [options.programs / "bench-bare-loop", str(rows), str(epochs), str(batch)]
    if device == "cuda":
        bare.append("cuda")

    def job(**variables):
        return run_job(options.programs, place, model, rows, batch, epochs, device, "float32", **variables)

    recorded, one_by_one, theirs = in_turn(
        options.repeats,
        job,
        lambda: job(ELEPHAS_STEP_GRAPH=""),
        lambda: float(subprocess.run(bare, check=True, capture_output=True, text=True).stdout),
    )
    print(f"\n| MLP 784-128-128-10, batch {batch} | examples/s | time of a step, of the bare loop's |")
    print("| --- | ---: | ---: |")
    for name, figure in (
        ("bare LibTorch loop", theirs),
        ("a job", recorded),
        ("a job whose steps are not recorded", one_by_one),
    ):
        print(f"| {name} | {figure:,.0f} | {100 * theirs / figure:.0f} % |")


def bandwidth(options):
    library = options.programs / ("libelephas_loopback.so" if options.rehearse else "libelephas_nccl.so")
    print("\n| all-reduce, 2 ranks on one device | collective, GB/s | NCCL's own calls, GB/s |")
    print("| --- | ---: | ---: |")
    for megabytes in (1,) if options.rehearse else (1, 16, 256):
        command = [options.programs / "bench-collective", library, "2", str(megabytes), "20"]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| {megabytes} MB | {result['gb_s']:.2f} | {result.get('nccl_gb_s', float('nan')):.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path, help="folder of the programs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, in small")
    options = parser.parse_args()
    options.programs = options.programs.resolve()
    # For the programs alone, after what the machine has: Python has its own libraries.
    libraries = (os.environ.get("LD_LIBRARY_PATH"), f"{options.programs}/lib")
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
    device = "cpu"
    if options.rehearse:
        options.repeats = 1
        print("a rehearsal on the CPU: these figures mean nothing")
    else:
        probe = subprocess.run(
            [options.programs / "elephas-worker", "--probe-device"], capture_output=True, text=True, check=False
        )
        if probe.returncode != 0:
            print(f"no GPU: {probe.stderr.strip() or probe.stdout.strip()}")
            return NO_GPU
        device = "cuda"
        print(f"{probe.stdout.strip()}, PyTorch {torch.__version__ if torch else 'not installed'}")
    os.environ["OMP_WAIT_POLICY"] = "passive"
    with tempfile.TemporaryDirectory(prefix="elephas-gpu-bench-") as scratch:
        folder = pathlib.Path(scratch)
        models_table(options, folder, device)
        overhead(options, folder, device)
    bandwidth(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
