#!/usr/bin/env python3
"""Holds the folders against docs/structure.txt: who may include whom, and how much a folder or a function may hold.

structure.py [ROOT]: prints a line for each include against the arrows, each folder that the file does not know,
each arrow that nothing uses, each circle, each folder with too many sources and each function that is too long;
exits with 1 when there is one.

A function may be longer when the comment above it calls it a table; tests, which hold many, are not measured.

Unit tests (*_test.cc) and what is under testing/ may include anything of their own component and of those below
it; nothing else may include from testing/.
"""
import pathlib
import re
import sys

MAX_SOURCES = 30  # in one folder, unit tests not counted
MAX_LINES = 60  # of one function
COMPONENTS = ("common", "kube", "paramserver", "operator", "worker", "cli")
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def read_arrows(text):
    """{folder: [folders]} of lines "folder: folder folder"; "#" begins a comment."""
    arrows = {}
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, _, targets = line.partition(":")
            arrows[folder.strip()] = targets.split()
    return arrows


def is_test(path):
    return path.name.endswith("_test.cc") or "testing" in path.parts


def sources(root):
    for component in COMPONENTS:
        for path in sorted((root / component).rglob("*")):
            if path.suffix in (".h", ".cc") and path.is_file():
                yield path.relative_to(root)


def circle(arrows):
    """A list of folders that leads back to its first one, or None."""
    state = {}

    def walk(folder, way):
        if state.get(folder) == "left":
            return None
        if folder in way:
            return way[way.index(folder):] + [folder]
        for target in arrows.get(folder, ()):
            found = walk(target, way + [folder])
            if found:
                return found
        state[folder] = "left"
        return None

    for folder in arrows:
        found = walk(folder, [])
        if found:
            return found
    return None


def long_functions(text):
    """(line, name, lines) of each function with more than MAX_LINES; of sources as clang-format writes them."""
    lines = text.splitlines()
    first = None  # line of the outermost function that is open
    for number, line in enumerate(lines):
        if first is None:
            if line.endswith("{") and _opens_function(lines, number):
                first = _first_line(lines, number)
                if _indentation(lines[first]) not in (0, 2):
                    first = None
        elif line.strip().startswith("}") and _indentation(line) == _indentation(lines[first]):
            length = number - first + 1
            if length > MAX_LINES and "table" not in lines[first - 1].lower():
                yield first + 1, re.split(r"\(", lines[first])[0].split()[-1].lstrip("*&"), length
            first = None


def _indentation(line):
    return len(line) - len(line.lstrip())


def _first_line(lines, number):
    """Where the declaration begins whose body opens on a line."""
    while number > 0 and "(" not in lines[number]:
        number -= 1
    while number > 0 and lines[number].count(")") > lines[number].count("("):
        number -= 1
    return number


def _opens_function(lines, number):
    text = " ".join(line.strip() for line in lines[max(0, number - 6):number + 1])
    head = re.split(r"[;}]|//", text)[-1]
    return "(" in head and not re.search(r"\b(namespace|class|struct|enum|union|extern)\b[^()]*\{$|=\s*\{$", head)


def problems(root, arrows):
    """A line for everything that is wrong."""
    found, used, counts = [], set(), {}
    below = {folder: {target.split("/")[0] for target in targets} for folder, targets in arrows.items()}
    for path in sources(root):
        folder = path.parent.as_posix()
        test = is_test(path)
        if not test:
            counts[folder] = counts.get(folder, 0) + 1
            if folder not in arrows:
                found.append(f"{path}: docs/structure.txt does not know the folder {folder}")
                continue
        component = path.parts[0]
        text = (root / path).read_text(encoding="utf-8")
        if not test:
            found += [f"{path}:{line}: {name} has {length} lines; {MAX_LINES} are the most"
                      for line, name, length in long_functions(text)]
        for name in INCLUDE.findall(text):
            target = pathlib.PurePosixPath(name).parent.as_posix()
            if target == folder or "/" not in name:
                continue
            if test:
                known = {component}.union(*(tops for known, tops in below.items() if known.split("/")[0] == component))
                if target.split("/")[0] not in known:
                    found.append(f"{path}: includes {name}, of a component that {component} does not build on")
            elif "testing" in target.split("/"):
                found.append(f"{path}: includes {name}, which is for tests")
            elif target not in arrows[folder]:
                found.append(f"{path}: includes {name}, but {folder} may not include from {target}")
            else:
                used.add((folder, target))
    for folder, targets in arrows.items():
        found += [f"docs/structure.txt: nothing of {folder} includes from {target}"
                  for target in targets if (folder, target) not in used]
    way = circle(arrows)
    if way:
        found.append("docs/structure.txt: a circle: " + " -> ".join(way))
    found += [f"{folder}: {count} sources; {MAX_SOURCES} are the most" for folder, count in sorted(counts.items())
              if count > MAX_SOURCES]
    return found


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1])
    found = problems(root, read_arrows((root / "docs" / "structure.txt").read_text(encoding="utf-8")))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
