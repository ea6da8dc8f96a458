"""The version is written in CMakeLists.txt; what must repeat it says the same."""
import re
import subprocess

import pytest
import yaml


@pytest.fixture(scope="module")
def version(source_dir):
    text = (source_dir / "CMakeLists.txt").read_text(encoding="utf-8")
    return re.search(r"project\(elephas VERSION (\d+\.\d+\.\d+)", text).group(1)


@pytest.mark.parametrize("program", ["elephas", "elephas-operator", "elephas-paramserver", "elephas-worker"])
def test_programs_print_it(program, version, bin_dir):
    path = bin_dir / program
    if not path.exists() and program == "elephas-worker":
        pytest.skip("a build without the worker")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"{program} {version}\n"


def test_the_chart_has_it(version, source_dir):
    chart = yaml.safe_load((source_dir / "charts" / "elephas-operator" / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_changelog_tells_of_it(version, source_dir):
    headings = re.findall(r"^## \[(.+?)\]", (source_dir / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased" and headings[1] == version
