"""The manifests of this folder, as kubectl and an API server judge them; verdicts_test.cc asks the programs."""

import pathlib

import pytest

# strict-*: kubectl drops a part of it without a word, which is no verdict on it.
_FILES = sorted(file for file in pathlib.Path(__file__).parent.glob("*.yaml") if not file.name.startswith("strict-"))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_manifest_is_judged_as_its_name_says(server, file):
    done = server.kubectl("create", "--dry-run=server", "--validate=strict", "-f", file)
    assert (done.returncode == 0) == file.name.startswith("ok-"), done.stderr or done.stdout
