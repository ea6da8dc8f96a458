#!/usr/bin/env python3
"""A real cluster, two tenants, and N deeds of users, tenants and misfortune; what must hold is looked at after each.

    soak.py --bin FOLDER [--actions 200] [--seed N] [--minutes 240] [--without KIND]… [--out FOLDER]

Deeds are drawn from a seed (deeds.py): delete and create again, edit, scale, suspend, bad templates and manifests, two jobs on
one folder of checkpoints, quotas and limit ranges that come and go, kill -9 of operators, API server, kubelet and the jobs'
containers. After each the invariants (invariants.py) must hold, at once or after a while: the promise is kept by every job that
succeeded, no pod is left without an owner, every job's reason is one that has a cause, the operator was restarted by nobody but
us and keeps within its memory. In the end nothing is in the way any more, and every good job must come to its end.

A failure does not end the run. Evidence of each is in OUT/failure-N.txt, a summary in OUT/summary.json. Exit status: 0 when all
held, 77 where no cluster can run, else 1.
"""

import argparse
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "soak"), str(TESTS / "e2e")]

from cluster import cluster as clusters  # noqa: E402
from cluster import requirements  # noqa: E402
from deeds import NAMESPACES, deeds  # noqa: E402
from invariants import Problem  # noqa: E402
from kube import Kubectl  # noqa: E402
from world import OPERATOR_NAMESPACE, DeedFailed, World  # noqa: E402

_SKIPPED = 77
# For what may take a while: a container that died often is started again after up to 5 minutes.
_SOON_SECONDS = 150
# A container that died often, and all of whose job waits for it, included.
_STANDSTILL_SECONDS = 600
_LOOK_SECONDS = 0.5


class Soak:
    def __init__(self, world, out, seed, say=print):
        self._world, self._out, self._seed, self._say = world, out, seed, say
        # Problems that were told. They are told once; those that can go away, once more when they come back.
        self._known = set()
        self.failures = []  # (number of the deed, what)
        self.done = 0

    def run(self, planned, deadline):
        for deed in planned:
            if time.monotonic() > deadline:
                self._fail(deed.number, [f"out of time before this deed, {len(planned) - self.done} are left"])
                return
            started = time.monotonic()
            said = self._carry_out(deed)
            held = self._check(deed.number, _SOON_SECONDS)
            self.done += 1
            self._say(f"{deed}{f': {said}' if said else ''}: {'ok' if held else 'FAILED'} in {time.monotonic() - started:.1f} s",
                      flush=True)

    def _carry_out(self, deed):
        try:
            return self._world.carry_out(deed)
        except (DeedFailed, clusters.ClusterError, subprocess.TimeoutExpired, pytest.fail.Exception) as error:
            self._fail(deed.number, [f"{deed}: {error}"])
            return "the deed itself failed"

    def _check(self, number, patience):
        """Whether everything held that was not told before; waits for what may take a while."""
        deadline = time.monotonic() + patience
        while True:
            seen = self._look()
            self._known &= {problem for problem in self._known if problem.permanent or problem in seen}
            seen = [problem for problem in seen if problem not in self._known]
            lasting = [problem for problem in seen if problem.permanent]
            if lasting or (seen and time.monotonic() > deadline):
                failed = lasting or seen
                self._known.update(failed)
                self._fail(number, [str(problem) for problem in failed])
                return False
            if not seen:
                return True
            time.sleep(_LOOK_SECONDS)

    def _look(self):
        try:
            return self._world.problems()
        except (DeedFailed, subprocess.TimeoutExpired) as error:
            return [Problem(False, "the cluster", str(error))]

    def finish(self, number):
        """What is in the way goes, all good jobs end, all jobs are deleted, nothing is left."""
        self._world.clear_the_way()
        self._say(f"nothing is in the way any more; these are to end: {', '.join(self._world.unfinished()) or 'none'}", flush=True)
        reached, deadline = -1, time.monotonic()
        while (unfinished := self._world.unfinished()) and (self._world.epochs_done() > reached or time.monotonic() < deadline):
            if self._world.epochs_done() > reached:
                reached, deadline = self._world.epochs_done(), time.monotonic() + _STANDSTILL_SECONDS
            self._check(number, _SOON_SECONDS)
            time.sleep(_LOOK_SECONDS)
        if unfinished:
            self._fail(number, [f"{slot} has made no progress for {_STANDSTILL_SECONDS} s" for slot in unfinished])
        self._world.delete_all()
        deadline = time.monotonic() + _SOON_SECONDS
        while (left := self._world.left_behind()) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if left:
            self._fail(number, [f"left behind: {', '.join(left)}"])
        self._check(number, _SOON_SECONDS)

    def _fail(self, number, problems):
        path = self._out / f"failure-{len(self.failures) + 1}.txt"
        path.write_text("\n".join(problems) + "\n\n" + self._world.evidence())
        self.failures += [(number, problem) for problem in problems]
        for problem in problems:
            self._say(f"    {problem}", flush=True)
        self._say(f"    again: make soak SEED={self._seed} ACTIONS={number}    evidence: {path}", flush=True)


def _images(bin_dir):
    script = TESTS.parent / "scripts" / "images.sh"
    subprocess.run([script, "operator", "paramserver", "worker"], check=True, stdin=subprocess.DEVNULL,
                   env={**os.environ, "ELEPHAS_BIN_DIR": str(bin_dir)})
    return [TESTS.parent / "build" / "images" / f"{name}.tar" for name in ("operator", "paramserver", "worker")]


def _prepare(cluster, archives):
    for archive in archives:
        cluster.load_image(archive)
    administrator = Kubectl(cluster)
    administrator.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}} for name in NAMESPACES))
    subprocess.run(["helm", "install", "elephas", TESTS.parent / "charts" / "elephas-operator", "--namespace",
                    OPERATOR_NAMESPACE, "--create-namespace", "--wait", "--timeout", "180s"], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=cluster.environment())


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, default=os.environ.get("ELEPHAS_BIN_DIR", TESTS.parent / "build" / "bin"))
    parser.add_argument("--actions", type=int, default=200)
    parser.add_argument("--seed", type=int, help="of an earlier run; otherwise a new one")
    parser.add_argument("--minutes", type=float, default=240, help="after which no more is done, and the run has failed")
    parser.add_argument("--without", action="append", default=[], metavar="KIND",
                        help="leaves out deeds of this kind, and changes no other: to look past a fault that is known")
    parser.add_argument("--plan", action="store_true", help="prints the deeds and does none")
    parser.add_argument("--out", type=pathlib.Path, default=TESTS.parent / "build" / "soak")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    planned = [deed for deed in deeds(seed, options.actions) if deed.kind not in options.without]
    if options.plan:
        print("\n".join(map(str, planned)))
        return 0
    if reason := requirements.unmet():
        print(f"soak: skipped: {reason}")
        return _SKIPPED
    print(f"soak: seed {seed}", flush=True)
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    archives = _images(pathlib.Path(options.bin).resolve())
    deadline = time.monotonic() + options.minutes * 60
    # It goes down with this process, however that ends.
    cluster = clusters.up(f"soak-{os.getpid()}", with_lifeline=True)
    try:
        _prepare(cluster, archives)
        with tempfile.TemporaryDirectory() as folder:
            digits = shutil.copytree(TESTS.parent / "examples" / "digits", pathlib.Path(folder) / "digits",
                                     ignore=shutil.ignore_patterns("out", "ckpt"))
            soak = Soak(World(cluster, digits), options.out, seed)
        soak.run(planned, deadline)
        soak.finish(options.actions)
    finally:
        cluster.down()
    summary = {"seed": seed, "deeds": soak.done, "of": len(planned),
               "failures": [{"deed": number, "problem": problem} for number, problem in soak.failures]}
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1))
    print(f"soak: seed {seed}: {soak.done} of {len(planned)} deeds done, {len(soak.failures)} failures")
    return 1 if soak.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
