"""Every manifest that people may copy is valid: those under examples/, and those in README.md and docs/."""

import importlib.util
import json
import pathlib
import re
import shutil

import keras
import pytest
import yaml

SOURCE_DIR = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = SOURCE_DIR / "examples"
MANIFESTS = sorted(EXAMPLES.glob("*/*.yaml"))
PAGES = [SOURCE_DIR / "README.md", *sorted(SOURCE_DIR.glob("docs/**/*.md")), *sorted(EXAMPLES.glob("**/*.md"))]


def blocks(page):
    """The complete manifests in a page's fenced blocks."""
    found = re.findall(r"^```ya?ml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in found if "kind: ElephasJob" in block]


BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(SOURCE_DIR)}, block {number}")
    for page in PAGES
    for number, block in enumerate(blocks(page), start=1)
]


def validate(processes, bin_dir, path):
    """`elephas validate` accepts the manifest, here and on a cluster, once the files are there that it names and
    something else makes."""
    spec = yaml.safe_load(path.read_text())["spec"]
    named = [
        spec["model"].get("uri"),
        spec["model"].get("weights", {}).get("uri"),
        spec["data"]["uri"],
    ]
    for uri in filter(None, named):
        file = path.parent / uri
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.touch()
    process = processes(bin_dir / "elephas", "validate", "--for-cluster", path)
    assert process.wait() == 0, process.output


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_example_is_valid(processes, bin_dir, tmp_path, path):
    folder = tmp_path / path.parent.name
    shutil.copytree(path.parent, folder, ignore=shutil.ignore_patterns("out", "ckpt", "data.npz"))
    validate(processes, bin_dir, folder / path.name)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_manifest_in_the_documentation_is_valid(processes, bin_dir, tmp_path, block):
    path = tmp_path / "job" / "job.yaml"
    path.parent.mkdir()
    path.write_text(block)
    validate(processes, bin_dir, path)


def test_the_readme_has_a_manifest():
    assert blocks(SOURCE_DIR / "README.md")


def example_folders():
    return sorted(path.parent.name for path in EXAMPLES.glob("*/job.yaml"))


def test_the_readme_lists_every_example():
    text = (SOURCE_DIR / "README.md").read_text()
    assert [name for name in example_folders() if f"(examples/{name})" not in text] == []


@pytest.mark.parametrize("maker", sorted(EXAMPLES.glob("*/make_model.py")), ids=lambda path: path.parent.name)
def test_the_model_in_the_tree_is_what_real_keras_writes(maker):
    spec = importlib.util.spec_from_file_location(f"make_{maker.parent.name}", maker)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Operations on tensors get numbered names.
    keras.backend.clear_session()
    made = json.loads(module.make_model().to_json())
    assert json.loads((maker.parent / "model.json").read_text()) == made
