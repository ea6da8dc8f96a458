"""docs/errors.md names every reason, kind and exit code that the sources have, and none that they do not have."""
import re

import pytest


@pytest.fixture(scope="module")
def page(source_dir):
    return (source_dir / "docs" / "errors.md").read_text(encoding="utf-8")


def first_column(page, heading):
    """The words of the first column of the table under a heading."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_every_reason_has_a_row_and_every_row_is_a_reason(page, source_dir):
    names = (source_dir / "common" / "base" / "names.h").read_text(encoding="utf-8")
    reasons = re.findall(r'k\w+ =\s+"(\w+)";', names.split("// --- reasons")[1])
    rows = first_column(page, "Reasons")
    assert len(rows) == len(set(rows))
    assert sorted(rows) == sorted(reasons)
    assert "OutputInUse" in rows and len(rows) > 40


def test_a_servers_own_reasons_are_told(page, source_dir):
    told = set()
    for source in [*(source_dir / "paramserver" / "job").glob("*.cc"), *(source_dir / "worker").glob("*.cc")]:
        told |= set(re.findall(r'(?:FailJob\(|\bFail\([\w.]+, )"(\w+)"', source.read_text(encoding="utf-8")))
    assert told, "the sources have changed their way to say it"
    assert [reason for reason in sorted(told) if f"`{reason}`" not in page] == []


def test_every_kind_has_its_status(page, source_dir):
    route = (source_dir / "paramserver" / "rest" / "route.cc").read_text(encoding="utf-8")
    rows = {re.sub(r"(?<!^)([A-Z])", r"_\1", code).lower(): status
            for code, status in re.findall(r"\{Code::k(\w+), (\d+)\}", route)}
    section = page.split("## REST\n")[1].split("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", section, re.MULTILINE)) == rows
