"""docs/keras.md says what the program supports."""

import pathlib
import subprocess

from judge import probe_path


def test_the_page_is_what_the_program_prints():
    printed = subprocess.run([probe_path(), "--reference"], capture_output=True, text=True, check=True).stdout
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "keras.md"
    assert page.read_text() == printed, "run `make generate`"
