#!/usr/bin/env python3
"""Runs clang-tidy over our sources, several files at a time; silent when all is well.

    scripts/tidy.py BUILD_FOLDER [--since REVISION] [FILE...]

A file that passed is not looked at again until it, a header of ours that it includes, its compile command,
.clang-tidy or clang-tidy itself changes (BUILD_FOLDER/tidy-cache remembers). --since looks only at files
that a change since that revision touches, directly or by a header.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


DEPS = pathlib.Path(os.environ.get("ELEPHAS_DEPS_DIR") or pathlib.Path.home() / ".cache/elephas")
CLANG_TIDY = DEPS / "tools-venv/bin/clang-tidy"  # by scripts/setup.sh --tools


def git_lines(*arguments):
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def closure(source, memo):
    """The file and every header of ours that it includes, also by way of others."""
    files = set()
    waiting = [source]
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files.add(file)
        if file not in memo:
            memo[file] = [REPOSITORY / name.decode() for name in INCLUDE.findall(file.read_bytes())]
        waiting.extend(header for header in memo[file] if header.is_file())
    return files


def fingerprint(files, command):
    digest = hashlib.sha256(command.encode())
    for file in sorted(files):
        digest.update(str(file.relative_to(REPOSITORY)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def options_for(source):
    """The static analyzer follows paths; a test is one path, which runs anyway, and takes it twenty times as long."""
    return ["--checks=-clang-analyzer-*"] if source.name.endswith("_test.cc") else []


def check(source, build):
    done = subprocess.run(
        [CLANG_TIDY, "-p", str(build), "--quiet", "--extra-arg=-Wno-unknown-warning-option"]
        + [*options_for(source), str(source)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    return done.returncode == 0, done.stdout if done.stdout.strip() else done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--since", metavar="REVISION")
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("ELEPHAS_BUILD_JOBS") or os.cpu_count()))
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()

    build = options.build.resolve()
    commands = {
        pathlib.Path(entry["file"]).resolve(): entry["command"].replace(str(REPOSITORY), "")
        for entry in json.loads((build / "compile_commands.json").read_text())
    }
    tracked = {REPOSITORY / name for name in git_lines("ls-files", "*.cc")}
    sources = sorted(tracked & commands.keys())
    if options.files:
        sources = sorted({file.resolve() for file in options.files} & commands.keys())
    memo = {}
    if options.since:
        changed = {REPOSITORY / name for name in git_lines("diff", "--name-only", options.since)}
        sources = [source for source in sources if closure(source, memo) & changed]

    version = subprocess.run([CLANG_TIDY, "--version"], check=True, capture_output=True, text=True).stdout
    configuration = version + (REPOSITORY / ".clang-tidy").read_text()
    cache = build / "tidy-cache"
    cache.mkdir(exist_ok=True)
    keys = {
        source: fingerprint(closure(source, memo), configuration + commands[source] + str(options_for(source)))
        for source in sources
    }
    due = [source for source in sources if not (cache / keys[source]).exists()]
    print(f"clang-tidy: {len(due)} files to look at, {len(sources) - len(due)} unchanged since they passed")

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=options.jobs) as pool:
        for source, (passed, output) in zip(due, pool.map(lambda source: check(source, build), due)):
            if passed:
                (cache / keys[source]).touch()
            else:
                failed += 1
                print(f"{source.relative_to(REPOSITORY)}:\n{output}", flush=True)
    if failed:
        sys.exit(f"clang-tidy: {failed} files have findings")


if __name__ == "__main__":
    main()
