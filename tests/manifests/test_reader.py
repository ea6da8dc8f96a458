"""What a manifest says here is what it says to kubectl: the same values, and the same texts refused.

On top of that refused are texts of which kubectl drops a part without a word: a key given twice, what follows the end of a
document, bytes that are no text.
"""

import json
import os
import re

import pytest

import metadata
import texts

_SEEDS = range(8)
_TEXTS_OF_A_SEED = 1500


def _sent(value):
    """Integers beyond 63 bits are floating point numbers by the time they reach the API server."""
    if isinstance(value, dict):
        return {key: _sent(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_sent(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def _expected(said):
    """The value that we must read; None: we must refuse."""
    if said["documents"] != 1 or said.get("duplicate"):
        return None
    return _sent(said["json"])


def _is_stricter_on_purpose(text, ours):
    reason = ours.get("error", "")
    return (
        "a !!binary value is not UTF-8 text" in reason
        # go-yaml stops at the end of the first document, whatever comes then.
        or "did not find expected <document start>" in reason
        or re.search(r"^\.\.\.", text, re.M)
        # {a:} is an error to libyaml, and to go-yaml a key named "a:".
        or "found unexpected ':'" in reason
        # go-yaml takes what ends a value in [] and {} for part of a tag.
        or re.search(r"!\S*[,\[\]{}]", text)
    )


def _read(ours):
    return None if "error" in ours or ours.get("duplicate") else _sent(ours["json"])


def test_the_table_in_the_tree_is_what_kubectl_reads(kubectl, source_dir):
    """The unit tests take it from there, for which there need be no Go. After a change: ELEPHAS_UPDATE_DOCS=1"""
    path = source_dir / "tests" / "manifests" / "kubectl_reads.json"
    table = texts.table()
    rows = [[text, _expected(said)] for text, said in zip(table, kubectl(table))]
    lines = ",\n".join(json.dumps(row, ensure_ascii=True, sort_keys=True) for row in rows)
    if os.environ.get("ELEPHAS_UPDATE_DOCS"):
        path.write_text(f"[\n{lines}\n]\n")
    assert path.read_text() == f"[\n{lines}\n]\n"


@pytest.mark.parametrize("seed", _SEEDS)
def test_generated_texts_say_the_same(seed, kubectl, ours):
    several = list(texts.generated(seed, _TEXTS_OF_A_SEED))
    said = list(zip(several, kubectl(several), ours(several)))
    different = [
        (text, theirs, mine)
        for text, theirs, mine in said
        if _read(mine) != _expected(theirs) and not _is_stricter_on_purpose(text, mine)
    ]
    assert not different, f"{len(different)} texts, such as {different[:3]}"
    # The generator makes texts that mean something.
    assert sum(_read(mine) is not None for _, _, mine in said) > _TEXTS_OF_A_SEED / 4


def test_metadata_gets_the_same_verdict(kubectl, ours):
    several = [json.dumps({"apiVersion": "elephas.dev/v1alpha1", "kind": "ElephasJob", "metadata": each})
               for each in metadata.table()]
    for text, theirs, mine in zip(several, kubectl(several), ours(several)):
        assert bool(theirs.get("metadata")) == bool(mine.get("metadata")), f"{text}: {theirs} {mine}"
