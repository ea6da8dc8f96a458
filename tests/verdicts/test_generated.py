"""Thousands of manifests to both judges: `elephas validate` and a real API server say the same of each.

ELEPHAS_VERDICT_SEED chooses others than every day's, ELEPHAS_VERDICT_COUNT more of them.
"""

import concurrent.futures
import itertools
import json
import os
import time

import manifests
from support import SLOWNESS

_SEED = int(os.environ.get("ELEPHAS_VERDICT_SEED", "11"))
_COUNT = int(os.environ.get("ELEPHAS_VERDICT_COUNT", "3000"))
_CONNECTIONS = 4


def test_both_judges_agree(server, judge, fields):
    generator = manifests.Generator(_SEED, fields)
    generated = [generator.manifest() for _ in range(_COUNT)]
    here = judge([json.dumps(each, ensure_ascii=False) for each in generated])
    there = _ask(server, generated)
    disagreements = [
        f"refused {'here' if problems else 'there'}: {problems or problem}\n{json.dumps(manifest['spec'])[:3000]}"
        for manifest, problems, problem in zip(generated, here, there) if bool(problems) != bool(problem)]
    assert not disagreements, "\n\n".join(
        [f"{len(disagreements)} of {_COUNT} (ELEPHAS_VERDICT_SEED={_SEED}):", *disagreements[:10]])
    # Both verdicts were asked for often enough.
    refused = sum(map(bool, here))
    assert _COUNT / 10 < refused < 9 * _COUNT / 10, f"{refused} of {_COUNT} were refused"


def _large():
    """Good jobs of thousands of columns, classes, outputs and layers, by what they are large in."""
    jobs = {name: manifests.minimal()
            for name in ("names", "mapped names", "classes", "boundaries", "outputs", "layers")}
    columns = [f"some_longer_name_of_a_column_{number}" for number in range(20000)]
    jobs["names"]["spec"]["data"]["features"] = columns
    jobs["mapped names"]["spec"]["data"]["labels"] = {column: column for column in columns[:5000]}
    jobs["classes"]["spec"]["fit"] = {"classWeight": {str(index): 1.5 for index in range(5000)}}
    jobs["boundaries"]["spec"]["compile"]["optimizer"] = {"class_name": "SGD", "config": {"learning_rate": {
        "class_name": "PiecewiseConstantDecay",
        "config": {"boundaries": list(range(20000)), "values": [0.5] * 20001}}}}
    jobs["outputs"]["spec"]["compile"] = {
        "loss": {f"output_{number}": "mse" for number in range(1000)}, "loss_weights": [0.5] * 1000,
        "metrics": [["mae", "one_hot_mean_io_u"] for _ in range(1000)]}
    jobs["layers"]["spec"]["model"] = {"inline": {"class_name": "Sequential", "config": {"layers": [
        {"class_name": "Dense", "config": {"name": f"dense_{number}", "units": number}} for number in range(8000)]}}}
    return jobs


def test_large_jobs_are_accepted_at_once(server, judge):
    """What CEL may cost is bounded, and an API server's time too: a rule may not look at everything."""
    jobs = _large()
    assert judge([json.dumps(job) for job in jobs.values()]) == [[]] * len(jobs)
    for name, job in jobs.items():
        started = time.monotonic()
        assert server.problem(job) == "", name
        # Much less than the 34 s after which an API server gives up, also on a busy machine.
        assert time.monotonic() - started < 15 * SLOWNESS, name


def _ask(server, generated):
    def ask(part):
        connection = server.connect()
        try:
            return [server.problem(manifest, connection) for manifest in part]
        finally:
            connection.close()

    size = -(-len(generated) // _CONNECTIONS)
    parts = [generated[at:at + size] for at in range(0, len(generated), size)]
    with concurrent.futures.ThreadPoolExecutor(_CONNECTIONS) as pool:
        return list(itertools.chain.from_iterable(pool.map(ask, parts)))
