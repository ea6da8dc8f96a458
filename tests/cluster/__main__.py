"""python -m cluster up|down|status [NAME]: what `make cluster-up` and `make cluster-down` call."""

import argparse
import os
import sys

from cluster import cluster, requirements
from cluster.layout import programs


def _up(name, images):
    reason = requirements.unmet()
    if reason:
        raise cluster.ClusterError(reason)
    there = cluster.standing(name)
    standing = there or cluster.up(name)
    for image in images:
        standing.load_image(image)
    print(f"Cluster {name} {'stands already' if there else 'is ready'}. To use it:\n")
    print(f"  export KUBECONFIG={standing.kubeconfig}")
    print(f"  export PATH={programs()}:$PATH        # kubectl and helm\n")
    print("`make cluster-down` removes it and everything in it.")


def _down(name):
    if os.geteuid() != 0:
        raise cluster.ClusterError("taking a cluster down needs root")
    print(f"Cluster {name} is gone." if cluster.down(name) else f"There is no cluster {name}.")


def _status():
    names = cluster.names()
    for name in names:
        standing = cluster.standing(name)
        print(f"{name}: " + (f"ready, KUBECONFIG={standing.kubeconfig}" if standing else "not ready"))
    if not names:
        print("No cluster.")


def main():
    parser = argparse.ArgumentParser(prog="cluster", description="A real Kubernetes on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    up.add_argument("name", nargs="?", default="elephas")
    up.add_argument("--image", action="append", default=[], help="an archive of an image to load")
    commands.add_parser("down").add_argument("name", nargs="?", default="elephas")
    commands.add_parser("status")
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            _up(arguments.name, arguments.image)
        elif arguments.command == "down":
            _down(arguments.name)
        else:
            _status()
    except cluster.ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
