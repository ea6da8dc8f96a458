#!/usr/bin/env python3
"""Runs a command on a terminal of its own and draws its last screen as an SVG: the picture in the README.

usage: record_run.py OUT.svg TITLE COMMAND...
"""

import html
import os
import pty
import re
import select
import struct
import sys
import termios
from fcntl import ioctl

COLUMNS, ROWS = 110, 28
LINE, CHARACTER = 18, 7.83


def record(command):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", NO_COLOR="1", COLUMNS=str(COLUMNS))
        os.execvp(command[0], command)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    output = b""
    while True:
        select.select([terminal], [], [])
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the program has closed its end
            break
        if not piece:
            break
        output += piece
    _, status = os.waitpid(pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed:\n{output.decode(errors='replace')}")
    return output.decode(errors="replace")


def screen(text):
    """What is left to see: a carriage return goes back to the line's start, as the progress line does."""
    lines = [""]
    text = text.replace("\x1b[K", "\x00").replace("\x1b[2K", "\x00").replace("\r\n", "\n")
    for character in text:
        if character == "\n":
            lines.append("")
        elif character in "\r\x00":
            lines[-1] = ""
        else:
            lines[-1] += character
    return [line.rstrip() for line in lines if line.strip()]


def mask(line):
    """Without the token in the link to the server's page: it is a password, if a short-lived one."""
    return re.sub(r"#token=\w+", "#token=...", line)


def svg(title, lines):
    width, height = int(COLUMNS * CHARACTER + 32), (len(lines) + 3) * LINE
    rows = "\n".join(
        f'<text x="16" y="{(i + 3) * LINE - 4}" xml:space="preserve">{html.escape(line[:COLUMNS])}</text>'
        for i, line in enumerate(lines)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img">
<title>{html.escape(title)}</title>
<rect width="100%" height="100%" rx="8" fill="#1e2430"/>
<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13" fill="#d7dde8">
<text x="16" y="{LINE + 4}" fill="#8aa0c0">{html.escape(title)}</text>
{rows}
</g>
</svg>
"""


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    out, title, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    lines = [mask(line) for line in screen(record(command))]
    if len(lines) > ROWS:
        lines = lines[:9] + ["  …"] + lines[-(ROWS - 10) :]
    with open(out, "w", encoding="utf-8") as file:
        file.write(svg(title, lines))


if __name__ == "__main__":
    main()
