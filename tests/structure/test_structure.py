"""The folders are as docs/structure.txt says, and what says so notices when they are not."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import structure  # noqa: E402


def test_the_tree_is_as_it_should_be(source_dir):
    arrows = structure.read_arrows((source_dir / "docs" / "structure.txt").read_text())
    assert structure.problems(source_dir, arrows) == []


@pytest.fixture
def tree(tmp_path):
    """A function that writes {file: [included]} and tells what is wrong with it under the given arrows."""
    def check(files, arrows):
        for name, included in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f'#include "{other}"\n' for other in included))
        return structure.problems(tmp_path, structure.read_arrows(arrows))
    return check


def test_an_include_along_an_arrow_is_good(tree):
    assert tree({"common/base/a.h": [], "kube/b.cc": ["common/base/a.h", "kube/b.h"], "kube/b.h": []},
                "common/base:\nkube: common/base  # why") == []


def test_an_include_against_the_arrows_is_named(tree):
    assert tree({"common/base/a.h": ["kube/b.h"], "kube/b.h": []}, "common/base:\nkube:") == [
        "common/base/a.h: includes kube/b.h, but common/base may not include from kube"]


def test_a_folder_that_nobody_knows_is_named(tree):
    assert tree({"cli/new/a.cc": []}, "") == ["cli/new/a.cc: docs/structure.txt does not know the folder cli/new"]


def test_an_arrow_that_nothing_uses_is_named(tree):
    assert tree({"cli/a.cc": []}, "cli: common/base") == ["docs/structure.txt: nothing of cli includes from common/base"]


def test_arrows_in_a_circle_are_named(tree):
    assert tree({"cli/a.h": ["cli/x/b.h"], "cli/x/b.h": ["cli/a.h"]}, "cli: cli/x\ncli/x: cli") == [
        "docs/structure.txt: a circle: cli -> cli/x -> cli"]


def test_tests_may_use_what_is_under_testing_and_nothing_else_may(tree):
    assert tree({"kube/testing/fake.h": [], "kube/a_test.cc": ["kube/testing/fake.h"], "kube/a.cc": ["kube/testing/fake.h"]},
                "kube:") == ["kube/a.cc: includes kube/testing/fake.h, which is for tests"]


def test_a_test_keeps_to_its_component_and_those_below(tree):
    assert tree({"cli/a_test.cc": ["worker/b.h"], "worker/b.h": [], "cli/a.cc": []}, "cli:\nworker:") == [
        "cli/a_test.cc: includes worker/b.h, of a component that cli does not build on"]


def test_a_folder_with_too_many_sources_is_named(tree):
    files = {f"cli/f{number}.cc": [] for number in range(structure.MAX_SOURCES + 1)}
    assert tree({**files, "cli/f_test.cc": []}, "cli:") == ["cli: 31 sources; 30 are the most"]


def _function(lines, head="int Long(int a,\n         int b) {", comment="// Counts."):
    return "\n".join([comment, head, *["  ++a;"] * (lines - len(head.splitlines()) - 1), "}", ""])


def test_a_function_that_is_too_long_is_named(tmp_path):
    path = tmp_path / "cli" / "a.cc"
    path.parent.mkdir()

    def check(text, name="a.cc"):
        path.with_name(name).write_text(text)
        found = structure.problems(tmp_path, {"cli": []})
        path.with_name(name).unlink()
        return found

    assert check(_function(60)) == []
    assert check(_function(61)) == ["cli/a.cc:2: Long has 61 lines; 60 are the most"]
    assert check("namespace a {\n" + _function(40) + _function(40) + "}  // namespace a\n") == []
    assert check(_function(99, head="std::vector<A> Class::Name() const {")) == [
        "cli/a.cc:2: Class::Name has 99 lines; 60 are the most"]
    assert check(_function(99, comment="// A table of names.")) == []
    assert check(_function(99), "a_test.cc") == []
