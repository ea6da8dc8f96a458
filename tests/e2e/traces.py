"""What of a cluster can be seen from the machine."""

import pathlib
import subprocess

from cluster import daemons

NO_TRACES = {"files": [], "mounts": [], "control groups": [], "processes": []}


def traces(layout):
    mounts = pathlib.Path("/proc/self/mounts").read_text()
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return {
        "files": [str(path) for path in (layout.state, layout.lock) if path.exists()],
        "mounts": [line for line in mounts.splitlines() if str(layout.state) in line],
        "control groups": [str(folder) for folder in daemons.cgroup_folders(layout) if folder.exists()],
        "processes": [line for line in processes.splitlines() if f"{layout.state}/" in line],
    }
