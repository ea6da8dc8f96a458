"""The images: small, not root, complete."""

import io
import json
import os
import subprocess
import tarfile

import pytest

# Unpacked, in MB. What is in the worker's is nearly all LibTorch's CPU library.
_LIMITS = {"operator": 30, "paramserver": 30, "worker": 450}


class _Image:
    def __init__(self, archive):
        with tarfile.open(archive) as tar:
            def blob(digest):
                return tar.extractfile("blobs/" + digest.replace(":", "/")).read()

            index = json.load(tar.extractfile("index.json"))
            manifest = json.loads(blob(index["manifests"][0]["digest"]))
            self.config = json.loads(blob(manifest["config"]["digest"]))["config"]
            self.layers = [blob(layer["digest"]) for layer in manifest["layers"]]

    def open_layers(self):
        for layer in self.layers:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                yield tar


@pytest.fixture(params=sorted(_LIMITS))
def image(request, images):
    if request.param not in images:
        pytest.skip(f"elephas-{request.param} is not built here")
    return request.param, _Image(images[request.param])


def test_size(image):
    name, content = image
    size = sum(entry.size for tar in content.open_layers() for entry in tar)
    print(f"{name}: {size / 1e6:.1f} MB unpacked, {sum(map(len, content.layers)) / 1e6:.1f} MB in the archive")
    assert size < _LIMITS[name] * 1e6


def test_user_is_a_number_and_not_root(image):
    _, content = image
    user, group = content.config["User"].split(":")
    assert int(user) > 0 and int(group) > 0


def test_nothing_runs_as_root_by_its_mode(image):
    _, content = image
    for tar in content.open_layers():
        assert [entry.name for entry in tar if entry.isreg() and entry.mode & 0o6000] == []


def test_program_runs_inside(image, tmp_path):
    name, content = image
    for tar in content.open_layers():
        tar.extractall(tmp_path)
    tmp_path.chmod(0o755)  # the image's root, which is open to everyone
    done = subprocess.run(
        ["chroot", "--userspec=65532:65532", tmp_path, *content.config["Entrypoint"], "--help"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
