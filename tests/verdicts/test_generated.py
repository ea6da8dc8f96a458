"""Thousands of manifests to both judges: `elephas validate` and a real API server say the same of each.

ELEPHAS_VERDICT_SEED chooses others than every day's, ELEPHAS_VERDICT_COUNT more of them.
"""

import concurrent.futures
import itertools
import json
import os

import manifests

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
