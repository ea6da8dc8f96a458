#!/usr/bin/env python3
"""kill -9 of workers and servers, many hundred times, over jobs of every mode, and the promise after each job.

    chaos.py --bin FOLDER [--kills 1000] [--seed N] [--job N,N…] [--minutes 120] [--parallel 2] [--out FOLDER]

Every example of every epoch is applied exactly once, and synchronous training ends with the bits of the undisturbed run.
Job N of a seed and the kills in it are the same in every run (plan.py). The run ends once KILLS workers and servers have
been killed; a job that fails does not end it. What is left of such a job is in OUT/job-N, a summary in OUT/summary.json.
Exit status: 0 when every job kept the promise, else 1.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import secrets
import shutil
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
# tests/ first: the conftest is the one there.
sys.path[:0] = [str(TESTS), str(TESTS / "chaos"), str(TESTS / "integration")]

from killer import Killer, OutOfTime, Run  # noqa: E402
from plan import SUPERVISOR, plan  # noqa: E402
from support import SLOWNESS  # noqa: E402
from workload import problems_of, write_job  # noqa: E402

_UNDISTURBED_SECONDS = 300


@dataclasses.dataclass
class Report:
    """What became of one job."""

    number: int
    job: str
    schedule: list
    seconds: float = 0.0
    killed: list = dataclasses.field(default_factory=list)
    missed: list = dataclasses.field(default_factory=list)
    problems: list = dataclasses.field(default_factory=list)

    def count(self, role):
        return sum(name.startswith(role) for name in self.killed)

    @property
    def kills(self):
        """Those that the promise is about; a supervisor's takes its family along and is counted apart."""
        return self.count("worker") + self.count("paramserver")


class Chaos:
    """Jobs of one seed, some at a time, until there were enough kills, or the time is over."""

    def __init__(self, programs, out, seed, kills, minutes, say=print):
        self._programs, self._out, self._seed, self._kills = programs, out, seed, kills
        self._deadline = time.monotonic() + minutes * 60
        self._say = say
        self._lock = threading.Lock()
        self.reports = []

    def run(self, numbers, parallel):
        """`numbers`: of the jobs, endless or not."""
        numbers = iter(numbers)

        def work():
            while (number := self._next(numbers)) is not None:
                self._tell(self.run_job(number))

        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            for future in [pool.submit(work) for _ in range(parallel)]:
                future.result()

    def _next(self, numbers):
        with self._lock:
            enough = sum(report.kills for report in self.reports) >= self._kills
            return None if enough or time.monotonic() > self._deadline else next(numbers, None)

    def run_job(self, number):
        job = plan(self._seed, number)
        folder = self._out / f"job-{number}"
        report = Report(number, str(job), [str(kill) for kill in job.kills])
        started = time.monotonic()
        try:
            self._run_with_kills(job, folder, report)
        except Exception as error:  # what a test did wrong with one job must not hide the others
            report.problems.append(f"the test itself failed: {error!r}")
        report.seconds = time.monotonic() - started
        if report.problems:
            (folder / "report.json").write_text(json.dumps(dataclasses.asdict(report), indent=1))
        else:
            shutil.rmtree(folder)
        return report

    def _run_with_kills(self, job, folder, report):
        reference = None
        if job.mode == "synchronous" and job.task == "train":
            reference = self._undisturbed(job, folder / "undisturbed", report)
            if reference is None:
                return
        run = Run(self._programs / "elephas", write_job(job, folder / "killed"), _environment(self._programs))
        killer = Killer(job, run)
        try:
            killer.run_to_the_end()
            if run.status != 0:
                report.problems.append(f"elephas run ended with {run.status}: {run.process.stderr[-2000:]}")
            report.problems += [f"{event['process']} {event['cause']}, and nobody killed it" for event in run.restarts()
                                if "SIGKILL" not in event["cause"]]
            if run.status == 0:
                report.problems += problems_of(job, run.folder, reference)
        except OutOfTime as error:
            report.problems.append(f"gave up waiting for {error}, at progress {run.progress()}")
            run.keep_evidence()
        finally:
            run.stop()
            report.killed, report.missed = killer.killed, [str(kill) for kill in killer.missed]

    def _undisturbed(self, job, folder, report):
        """One worker and one server: whose bits these are must not depend on who computed what."""
        path = write_job(dataclasses.replace(job, checkpoint_every=None), folder, workers=1, servers=1)
        run = Run(self._programs / "elephas", path, _environment(self._programs))
        deadline = time.monotonic() + _UNDISTURBED_SECONDS * SLOWNESS
        while not run.over and time.monotonic() < deadline:
            time.sleep(0.02)
        status = run.status if run.over else "no end"
        run.stop()
        if status == 0:
            return folder
        report.problems.append(f"the undisturbed run ended with {status}: {run.process.stderr[-2000:]}")
        return None

    def _tell(self, report):
        with self._lock:
            self.reports.append(report)
            kills = sum(each.kills for each in self.reports)
            killed = (f"{report.count('worker')} workers and {report.count('paramserver')} servers killed, "
                      f"{report.count(SUPERVISOR)} supervisors, {len(report.missed)} kills came too late")
            verdict = "FAILED" if report.problems else "ok"
            self._say(f"[{kills}] job {report.number}: {verdict} in {report.seconds:.0f} s: {report.job}: {killed}", flush=True)
            for problem in report.problems:
                self._say(f"    {problem}", flush=True)
            if report.problems:
                self._say(f"    again: make chaos SEED={self._seed} JOB={report.number}    files: {self._out}/job-{report.number}",
                          flush=True)

    def summary(self):
        killed = collections.Counter()
        for report in self.reports:
            killed.update({"workers": report.count("worker"), "servers": report.count("paramserver"),
                           "supervisors": report.count(SUPERVISOR), "too late": len(report.missed)})
        failed = sorted(report.number for report in self.reports if report.problems)
        return {"seed": self._seed, "jobs": len(self.reports), "killed": dict(killed), "failed": failed,
                "reports": [dataclasses.asdict(report) for report in sorted(self.reports, key=lambda each: each.number)]}


def _environment(programs):
    # LibTorch's idle OpenMP threads would spin on the cores that the other processes need.
    return {"ELEPHAS_BIN_DIR": str(programs), "OMP_WAIT_POLICY": "passive"}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, default=os.environ.get("ELEPHAS_BIN_DIR", TESTS.parent / "build" / "bin"))
    parser.add_argument("--kills", type=int, default=1000, help="of workers and servers, after which the run ends")
    parser.add_argument("--seed", type=int, help="of an earlier run; otherwise a new one")
    parser.add_argument("--job", type=lambda text: [int(word) for word in text.split(",")], help="only these, whatever --kills says")
    parser.add_argument("--minutes", type=float, default=120, help="after which no more jobs are begun, and the run has failed")
    parser.add_argument("--parallel", type=int, default=2, help="jobs at a time")
    parser.add_argument("--out", type=pathlib.Path, default=TESTS.parent / "build" / "chaos")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    kills = float("inf") if options.job else options.kills
    print(f"chaos: seed {seed}", flush=True)
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    chaos = Chaos(pathlib.Path(options.bin).resolve(), options.out.resolve(), seed, kills, options.minutes)
    chaos.run(options.job or iter(range(10**6)), options.parallel)

    summary = chaos.summary()
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1))
    killed = summary["killed"]
    reached = killed.get("workers", 0) + killed.get("servers", 0)
    print(f"chaos: seed {seed}: {summary['jobs']} jobs; killed {killed}; {len(summary['failed'])} jobs failed {summary['failed']}")
    if not options.job and reached < kills:
        print(f"chaos: only {reached} of {kills} kills within {options.minutes:g} minutes")
        return 1
    if options.job and summary["jobs"] < len(options.job):
        print(f"chaos: only {summary['jobs']} of {len(options.job)} jobs within {options.minutes:g} minutes")
        return 1
    return 1 if summary["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
