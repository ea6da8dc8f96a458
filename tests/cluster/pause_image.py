"""The image of the process that holds a pod's namespaces, as an archive that containerd imports."""

import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import tempfile

from cluster.layout import PAUSE_IMAGE


def write(path):
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "pause"
        done = subprocess.run(
            ["cc", "-Os", "-static", "-s", "-o", program, pathlib.Path(__file__).with_name("pause.c")],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"pause.c does not compile: {done.stderr.strip()}")
        layer = _tar({"pause": program.read_bytes()})
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]).encode()
    path.write_bytes(_tar({"manifest.json": manifest, "config.json": config, "layer.tar": layer}))


def _tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
