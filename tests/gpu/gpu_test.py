"""What only a machine with a GPU can show: run by `make gpu-test`, or by hand with nothing but Python and a folder of
prebuilt programs (make gpu-package):

    LD_LIBRARY_PATH=… python3 tests/gpu/gpu_test.py build/gpu

Python's own library only, no network but loopback. Exit status: 0 all is well, 1 something is not, 77 there is no GPU.
With --rehearse everything runs on the CPU over the loopback collective, which is how a machine without a GPU tests this
script.
"""

import argparse
import array
import json
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

NO_GPU = 77
TOKEN = "sesame-gpu"
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
DIGITS = REPOSITORY / "examples" / "digits"


class Failure(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failure(message)


def wait_until(condition, what, timeout=120.0):
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"gave up waiting for {what}")
        time.sleep(0.02)


def read_safetensors(path):
    """{name: array of float32}"""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        tensors[name] = array.array("f", body[first:last])
    return tensors


def largest_difference(a, b):
    """Relative to the size of the weights, over all tensors."""
    check(a.keys() == b.keys(), "the models have different weights")
    worst = 0.0
    for name, values in a.items():
        scale = max(1e-3, max(abs(value) for value in values))
        worst = max(worst, max(abs(x - y) for x, y in zip(values, b[name])) / scale)
    return worst


def fetch(url, **headers):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=30) as reply:
        return reply.read().decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def layer(class_name, name, **config):
    return {"class_name": class_name, "config": {"name": name, **config}}


def dense_model(activation, *between, first=None):
    """spec.model of the digits' data."""
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 64], "dtype": "float32", "name": "pixels"}},
        *([first] if first else []),
        layer("Dense", "hidden", units=32, activation=activation),
        *between,
        layer("Dense", "classes", units=10, activation="softmax"),
    ]
    return {"inline": {"class_name": "Sequential", "config": {"name": "dense", "layers": layers}}}


# What these draw on a GPU is not what they draw on the CPU.
RANDOM = ("Dropout", "GaussianNoise", "Random", "dropout")


def differences(case, cpu, gpu):
    """Lines that say where two replies to a case differ by more than rounding."""
    name = case["name"]
    (a, tensors_a), (b, tensors_b) = ((values[name], tensors) for values, tensors in (cpu, gpu))
    if a.get("error") or b.get("error"):
        return [] if a.get("error") == b.get("error") else [f"{name}: CPU {a.get('error')}, GPU {b.get('error')}"]
    text = json.dumps(case["model"])
    draws = any(word in text for word in RANDOM)
    lines = []
    for key, values in tensors_a.items():
        if not key.startswith(f"{name}/") or (draws and "/weight/" in key):
            continue
        scale = max((abs(value) for value in values), default=0.0) or 1.0
        worst = max((abs(x - y) for x, y in zip(values, tensors_b[key])), default=0.0)
        # Twenty steps of training let rounding grow.
        if not worst <= (1e-3 if "/weight/" in key else 1e-4) * scale:
            lines.append(f"{key}: off by {worst:g} where the largest value is {scale:g}")
    for metric, value in (a.get("evaluate") or {}).items():
        other = b["evaluate"].get(metric)
        if isinstance(value, float) and not abs(value - other) <= 1e-4 * max(1.0, abs(value)):
            lines.append(f"{name}: {metric} is {value} on the CPU, {other} on the GPU")
    return lines


class Job:
    """One parameter server and its workers."""

    def __init__(
        self,
        programs,
        folder,
        environment,
        epochs=3,
        workers=1,
        device="cuda",
        transport="auto",
        precision="float32",
        variables=None,
        **spec,
    ):
        self.programs, self.folder = programs, pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        for name in ("digits.csv", "model.json"):
            shutil.copy(DIGITS / name, self.folder / name)
        manifest = {
            "apiVersion": "elephas.dev/v1alpha1",
            "kind": "ElephasJob",
            "metadata": {"name": "gpu"},
            "spec": {
                "task": "train",
                "mode": "synchronous",
                "frequency": "batch",
                "model": {"uri": "model.json"},
                "compile": {
                    "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.01, "momentum": 0.9}},
                    "loss": "sparse_categorical_crossentropy",
                    "metrics": ["accuracy"],
                },
                "fit": {"epochs": epochs, "batchSize": 16, "seed": 42, "validationSplit": 0.1},
                "data": {"uri": "digits.csv", "labels": ["label"], "partitions": 4},
                "workers": {"replicas": workers, "device": device, "precision": precision},
                "transport": transport,
                "output": {"uri": "out"},
                **spec,
            },
        }
        (self.folder / "job.json").write_text(json.dumps(manifest))
        (self.folder / "token").write_text(TOKEN)
        self.environment = {
            **os.environ,
            "OMP_WAIT_POLICY": "passive",
            "ELEPHAS_GROUP_PATIENCE_SECONDS": "5",
            "ELEPHAS_GROUP_COMMIT_SECONDS": "0.2",
            **environment,
            **(variables or {}),
        }
        self.processes, self.workers = [], {}
        port_file = self.folder / "port"
        self.server = self._start(
            "server",
            "elephas-paramserver",
            *("--job", self.folder / "job.json", "--uid", "gpu", "--base", self.folder, "--address", "127.0.0.1"),
            *("--port", "0", "--port-file", port_file, "--token-file", self.folder / "token"),
            *("--lease-seconds", "3"),
        )
        self.port = int(wait_until(lambda: port_file.exists() and port_file.read_text(), "the server", 30))

    def _start(self, name, program, *arguments, **environment):
        with open(self.folder / f"{name}-{len(self.processes)}.log", "wb") as log:
            process = subprocess.Popen(
                [str(self.programs / program), *(str(argument) for argument in arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environment, **environment},
            )
        self.processes.append(process)
        return process

    def start_worker(self, number, *arguments):
        # Two ranks on one GPU: NCCL takes ranks of one host for duplicates unless the hosts seem different.
        self.workers[number] = self._start(
            f"worker-{number}",
            "elephas-worker",
            *("--server", f"http://127.0.0.1:{self.port}", "--name", f"worker-{number}", "--base", self.folder),
            *("--token-file", self.folder / "token", *arguments),
            NCCL_HOSTID=f"elephas-{number}",
            NCCL_SOCKET_IFNAME="lo",
        )

    @property
    def status(self):
        return json.loads(fetch(f"http://127.0.0.1:{self.port}/v1/status", Authorization=f"Bearer {TOKEN}"))

    def version_above(self, version):
        return self.status["version"] > version

    def wait(self, timeout=300):
        for number, worker in self.workers.items():
            try:
                code = worker.wait(timeout)
            except subprocess.TimeoutExpired:
                raise Failure(f"worker {number} did not end:\n{self.logs()}") from None
            check(code == 0, f"worker {number} ended with {code}:\n{self.logs()}")
        return self

    def logs(self):
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.folder.glob("*.log"))

    @property
    def model(self):
        return read_safetensors(self.folder / "out" / "model.safetensors")

    @property
    def history(self):
        return json.loads((self.folder / "out" / "history.json").read_text())

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


class Suite:
    def __init__(self, programs, scratch, rehearse):
        self.programs, self.scratch = programs, scratch
        self.rehearse = rehearse
        self.device = "auto" if rehearse else "cuda"
        self.collective = "loopback" if rehearse else "nccl"
        self.environment = {}
        if rehearse:
            self.environment = {
                "ELEPHAS_COLLECTIVE": str(programs / "libelephas_loopback.so"),
                "ELEPHAS_STEP_GRAPH": str(programs / "libelephas_direct_step_graph.so"),
            }

    def run(self, name, workers=1, arguments=(), **options):
        job = Job(self.programs, self.scratch / name, self.environment, workers=workers, **options)
        try:
            for number in range(workers):
                job.start_worker(number, *arguments)
            yield job
        finally:
            job.close()

    def finished(self, name, **options):
        for job in self.run(name, **options):
            job.wait()
            return job.model, job.history, job.status
        raise AssertionError

    def cpu_and_gpu_agree(self):
        """The same job on the CPU and on the GPU: weights and losses agree within rounding."""
        # Smooth, and fed small numbers: where a ReLU's input is next to zero or a softmax is saturated, rounding decides
        # whether a gradient flows, on the CPU just as well.
        model = dense_model("tanh", first=layer("Rescaling", "scaled", scale=0.0625, offset=-0.5))
        for frequency in ("batch", "epoch"):
            cpu, cpu_history, _ = self.finished(
                f"cpu-{frequency}", device="cpu", transport="rest", frequency=frequency, model=model
            )
            gpu, gpu_history, _ = self.finished(
                f"gpu-{frequency}", device=self.device, transport="rest", frequency=frequency, model=model
            )
            difference = largest_difference(cpu, gpu)
            print(f"    frequency {frequency}: largest relative difference {difference:.2e}")
            check(difference < 1e-4, f"weights differ by {difference}")
            check(cpu_history["examples"] == gpu_history["examples"], "examples differ")
            for a, b in zip(cpu_history["loss"], gpu_history["loss"]):
                check(abs(a - b) < 1e-5 * max(1.0, abs(a)), f"losses differ: {a} and {b}")

    def models_of_keras_compute_the_same(self):
        """Every model that the tests hold against real Keras, where they left them (ELEPHAS_KEEP_REQUESTS): predictions, masks,
        metrics, and weights after training, on the GPU as on the CPU."""
        requests = sorted((self.programs / "keras").glob("request-*"))
        if not requests:
            print("    none here")
            return
        probe, models, wrong = self.programs / "elephas-keras-probe", 0, []
        for request in requests:
            replies = []
            for device in ((), () if self.rehearse else ("cuda",)):
                folder = self.scratch / f"{request.name}{''.join(device)}"
                shutil.copytree(request, folder, dirs_exist_ok=True)
                done = subprocess.run([probe, folder, *device], capture_output=True, text=True, check=False)
                check(done.returncode == 0, f"{request.name}: {done.stderr[-2000:]}")
                replies.append((json.loads((folder / "reply.json").read_text()), read_safetensors(folder / "reply.safetensors")))
            cases = json.loads((request / "request.json").read_text())["cases"]
            models += len(cases)
            for case in cases:
                wrong += differences(case, *replies)
        for line in wrong:
            print(f"    {line}")
        print(f"    {models} models")
        check(not wrong, f"{len(wrong)} differ")

    def however_a_step_runs_it_is_the_same(self):
        """Steps recorded as a graph or run one by one, rows gathered on the GPU or sent there: the same model. With dropout
        and batch statistics."""
        model = dense_model("relu", layer("BatchNormalization", "norm"), layer("Dropout", "drop", rate=0.25))
        models, losses = [], []
        for name, variables in (
            ("recorded", {}),
            ("one-by-one", {"ELEPHAS_STEP_GRAPH": ""}),
            ("sent", {"ELEPHAS_RESIDENT_DATA_BYTES": "0"}),
        ):
            for job in self.run(
                f"steps-{name}", device=self.device, frequency="epoch", model=model, variables=variables, epochs=4
            ):
                job.wait()
                recorded = "training step recorded" in job.logs()
                check(recorded == (name != "one-by-one"), f"{name}: recorded is {recorded}:\n{job.logs()}")
                models.append(job.model)
                losses.append(job.history["loss"])
        differences = [largest_difference(models[0], other) for other in models[1:]]
        print(f"    largest relative differences: one by one {differences[0]:.2e}, sent {differences[1]:.2e}")
        check(max(differences) < 1e-5, f"weights differ: {losses}")
        for other in losses[1:]:
            check(all(abs(a - b) < 1e-5 * abs(a) for a, b in zip(losses[0], other)), f"losses differ: {losses}")

    def less_precision_still_trains(self):
        """TF32 and bfloat16 autocast: the loss falls about as far as in float32."""
        _, exact, _ = self.finished("float32", device=self.device, frequency="epoch", epochs=8)
        for precision in ("tf32", "mixed_bfloat16"):
            _, history, _ = self.finished(
                precision, device=self.device, frequency="epoch", epochs=8, precision=precision
            )
            print(f"    {precision}: loss {history['loss'][-1]:.4f}, float32 {exact['loss'][-1]:.4f}")
            check(abs(history["loss"][-1] - exact["loss"][-1]) < 0.05, f"{precision}: {history['loss']}")

    def asynchronous_trains_on_the_gpu(self):
        """Asynchronous jobs exchange by REST whatever the device."""
        _, history, status = self.finished(
            "asynchronous", workers=2, device=self.device, mode="asynchronous", frequency="epoch"
        )
        check(history["loss"][-1] < history["loss"][0], "the loss did not fall")
        check(len(set(history["examples"])) == 1, "examples were lost or repeated")
        check(status["transport"]["now"] == "rest", "an asynchronous job exchanges by REST")

    def two_ranks_train(self):
        """Two ranks (on one GPU: NCCL_HOSTID) all-reduce; the result is that of REST within rounding."""
        rest, rest_history, _ = self.finished("one-rest", device=self.device, transport="rest")
        group, history, status = self.finished("two-ranks", workers=2, device=self.device)
        formed = [event["message"] for event in status["events"] if event["reason"] == "GroupFormed"]
        check(formed and f"2 workers train over {self.collective}" in formed[-1], f"no group: {status['transport']}")
        difference = largest_difference(rest, group)
        print(f"    largest relative difference to REST {difference:.2e}")
        check(difference < 5e-3, f"weights differ by {difference}")
        check(history["examples"] == rest_history["examples"], "examples differ")

    def a_kill_is_survived(self):
        """kill -9 of a rank in the middle, several times: the others go on, nothing is lost or repeated."""
        epochs = 60
        choose = random.Random(7)
        for job in self.run("kills", workers=2, device=self.device, epochs=epochs):
            kills = 0
            for _ in range(3):
                seen = job.status["version"]
                ahead = choose.randrange(20, 200)
                over = ("Finalizing", "Succeeded", "Failed")
                wait_until(
                    lambda: job.status["version"] >= seen + ahead or job.status["state"] in over, "more rounds"
                )
                if job.status["state"] in over:
                    break
                victim = choose.randrange(2)
                job.workers[victim].kill()
                job.workers[victim].wait()
                kills += 1
                job.start_worker(victim)
            job.wait(600)
            check(kills > 0, "the job was over before anything could be killed")
            check(len(job.history["examples"]) == epochs, "epochs are missing")
            check(len(set(job.history["examples"])) == 1, "examples were lost or repeated")
            ended = [event for event in job.status["events"] if event["reason"] == "GroupEnded"]
            check(ended, "no generation ended although a member was killed")
            print(f"    {kills} kills, {len(ended)} generations ended")

    def metrics_tell_of_the_gpu(self):
        """A worker's /metrics have the memory and the use of its GPU."""
        port = free_port()
        arguments = ("--metrics-port", port, "--metrics-address", "127.0.0.1")
        for job in self.run("metrics", arguments=arguments, device=self.device, epochs=500):
            page = wait_until(lambda: job.version_above(10) and fetch(f"http://127.0.0.1:{port}/metrics"), "metrics")
            samples = dict(line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#"))
            device = {name.split("{")[0]: float(value) for name, value in samples.items() if "device_" in name}
            print(f"    {device}")
            if self.rehearse:
                check(not device, f"a GPU where there is none: {device}")
                return
            used, memory = device["elephas_worker_device_memory_used_bytes"], device["elephas_worker_device_memory_bytes"]
            check(0 < used <= memory, f"{used} of {memory} bytes")
            check(0 <= device["elephas_worker_device_utilization_ratio"] <= 1, f"{device}")

    ALL = (
        cpu_and_gpu_agree,
        models_of_keras_compute_the_same,
        however_a_step_runs_it_is_the_same,
        less_precision_still_trains,
        asynchronous_trains_on_the_gpu,
        two_ranks_train,
        a_kill_is_survived,
        metrics_tell_of_the_gpu,
    )


def main():
    names = [test.__name__ for test in Suite.ALL]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path, help="folder of the programs")
    parser.add_argument("tests", nargs="*", choices=[[], *names], metavar="TEST", help=f"of {', '.join(names)}; none: all")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, over the loopback collective")
    options = parser.parse_args()
    programs = options.programs.resolve()
    # For the programs alone, after what the machine has: Python has its own libraries.
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, (os.environ.get("LD_LIBRARY_PATH"), f"{programs}/lib")))
    if not options.rehearse:
        probe = subprocess.run(
            [programs / "elephas-worker", "--probe-device"], capture_output=True, text=True, check=False
        )
        print(probe.stdout.strip())
        if probe.returncode != 0:
            print(f"no GPU: {probe.stderr.strip() or probe.stdout.strip()}")
            return NO_GPU
    failed = 0
    chosen = [test for test in Suite.ALL if not options.tests or test.__name__ in options.tests]
    with tempfile.TemporaryDirectory(prefix="elephas-gpu-") as scratch:
        suite = Suite(programs, pathlib.Path(scratch), options.rehearse)
        for test in chosen:
            print(f"{test.__name__}: {test.__doc__}", flush=True)
            began = time.monotonic()
            try:
                test(suite)
                print(f"  ok ({time.monotonic() - began:.1f} s)", flush=True)
            except Failure as failure:
                failed += 1
                print(f"  FAILED: {failure}", flush=True)
    print(f"{len(chosen) - failed} of {len(chosen)} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
