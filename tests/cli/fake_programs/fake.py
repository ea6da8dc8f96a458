"""What the fake programs share. Each keeps a diary in the job's folder (--base):

    NAME.pid    process id of the latest start
    NAME.starts one JSON object per start: arguments and environment

and looks there for orders:

    status.json   what the server answers to GET /v1/status
    NAME.exit     exit code: leave with it at once, and remove the order
    NAME.stubborn ignore SIGTERM
"""

import json
import os
import pathlib
import signal
import sys


class Program:
    def __init__(self, name, arguments):
        self.name = name
        self.base = pathlib.Path(arguments["base"])
        with open(self.base / f"{name}.starts", "a") as starts:
            environment = {key: value for key, value in os.environ.items() if key.startswith("OMP_")}
            record = {"arguments": arguments, "environment": environment, "group": os.getpgrp()}
            starts.write(json.dumps(record) + "\n")
        if (self.base / f"{name}.stubborn").exists():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        temporary = self.base / f"{name}.pid.new"
        temporary.write_text(str(os.getpid()))
        temporary.rename(self.base / f"{name}.pid")
        print(f"{name} is up", flush=True)

    def obey(self):
        """Leaves when told to."""
        order = self.base / f"{self.name}.exit"
        try:
            code = int(order.read_text())
            order.unlink()
        except (FileNotFoundError, ValueError):
            return
        print(f"{self.name} was told to leave with {code}", file=sys.stderr, flush=True)
        sys.exit(code)


def parse(argv):
    """--a b --flag -> {"a": "b", "flag": True}"""
    arguments = {}
    position = 1
    while position < len(argv):
        name = argv[position].removeprefix("--")
        if position + 1 < len(argv) and not argv[position + 1].startswith("--"):
            arguments[name] = argv[position + 1]
            position += 2
        else:
            arguments[name] = True
            position += 1
    return arguments
