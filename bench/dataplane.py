#!/usr/bin/env python3
"""Pull and push of 0.47, 10 and 100 MB over loopback beside iperf3, in the same minutes on the same machine.

A real elephas-paramserver with one client; a push is applied to the parameters, checked for NaN and recorded in the
ledger before it is answered. iperf3 runs one stream before each size and after the last; its figure is the median.

usage: dataplane.py BIN_DIR BENCH_DATAPLANE        (BENCH_DATAPLANE: the program built from bench/dataplane.cc)
"""

import json
import pathlib
import platform
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# bytes of parameters -> repeats
SIZES = {470_000: 500, 10_000_000: 60, 100_000_000: 15}
IPERF_SECONDS = 2

MANIFEST = {
    "apiVersion": "elephas.dev/v1alpha1",
    "kind": "ElephasJob",
    "metadata": {"name": "dataplane"},
    "spec": {
        "mode": "asynchronous",
        "frequency": "batch",
        "model": {"uri": "model.json"},
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "fit": {"epochs": 1, "batchSize": 1, "seed": 1},
        "data": {"uri": "data.csv", "labels": ["y"], "partitions": 1},
        "output": {"uri": "out"},
    },
}


def await_file(path, process):
    deadline = time.monotonic() + 20
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{process.args[0]} did not start")
        time.sleep(0.01)
    return path.read_text().strip()


def iperf():
    """Bytes per second of one stream for IPERF_SECONDS; server and client end by themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    server = subprocess.Popen(
        ["iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", port, "--forceflush"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        next(line for line in server.stdout if "listening" in line)
        client = subprocess.run(
            ["iperf3", "-c", "127.0.0.1", "-p", port, "-t", str(IPERF_SECONDS), "-J"],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(client.stdout)["end"]["sum_received"]["bits_per_second"] / 8
    finally:
        server.terminate()
        server.wait()


def measure(bin_dir, program, size, repeats):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        token = secrets.token_hex(16)
        (folder / "token").write_text(token)
        (folder / "job.json").write_text(json.dumps(MANIFEST))
        server = subprocess.Popen(
            [
                *(bin_dir / "elephas-paramserver", "--job", folder / "job.json", "--uid", "bench"),
                *("--address", "127.0.0.1", "--base", folder, "--log-level", "warning"),
                *("--token-file", folder / "token", "--port-file", folder / "port"),
            ]
        )
        try:
            port = await_file(folder / "port", server)
            result = subprocess.run(
                [program, f"http://127.0.0.1:{port}", token, str(size // 4), str(repeats)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            return json.loads(result.stdout)
        finally:
            server.terminate()
            server.wait()


def main(bin_dir, program):
    streams, rows = [], []
    for size, repeats in SIZES.items():
        streams.append(iperf())
        rows.append(measure(bin_dir, program, size, repeats))
    streams.append(iperf())
    stream = statistics.median(streams)

    print(f"data plane over loopback, {platform.machine()}, medians")
    print(f"iperf3, one stream: {stream / 1e9:.2f} GB/s (runs from {min(streams) / 1e9:.2f} to {max(streams) / 1e9:.2f})")
    print(f"{'':8}{'size':>10}{'repeats':>9}{'median':>12}{'best':>12}{'p99':>12}{'GB/s':>8}{'of iperf3':>11}")
    for row in rows:
        for what in ("pull", "push"):
            seconds = sorted(row[what])
            median = statistics.median(seconds)
            speed = row["bytes"] / median
            print(
                f"{what:8}{row['bytes'] / 1e6:>7.2f} MB{len(seconds):>9}"
                f"{median * 1e6:>9.0f} us{seconds[0] * 1e6:>9.0f} us{seconds[int(len(seconds) * 0.99)] * 1e6:>9.0f} us"
                f"{speed / 1e9:>8.2f}{speed / stream:>10.0%}"
            )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
