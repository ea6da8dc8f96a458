"""The live progress line on a real (pseudo) terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from support import wait_until


class Terminal:
    """`elephas run` on a terminal of a given width."""

    def __init__(self, command, environment, columns):
        self.text = ""
        self.controller, terminal = pty.openpty()
        self.resize(columns)
        self.process = subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True
        )
        os.close(terminal)
        os.set_blocking(self.controller, False)

    def resize(self, columns):
        fcntl.ioctl(self.controller, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        try:
            self.text += os.read(self.controller, 65536).decode()
        except (BlockingIOError, OSError):
            pass
        return self.text

    def wait_for(self, pattern):
        """The match of a regular expression in what was written since the last call."""

        def find():
            match = re.search(pattern, self.read())
            if match:
                self.text = self.text[match.end() :]
            return match

        return wait_until(find, what=f"{pattern!r} on the terminal")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.controller)


@pytest.fixture
def terminal(job, bin_dir):
    opened = []

    def open_terminal(columns, **environment):
        command = [bin_dir / "elephas", "run", job.path]
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        opened.append(Terminal(command, {**clean, "TERM": "xterm", **job.environment(environment)}, columns))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


PROGRESS = dict(examples=812, examplesPerEpoch=1437, examplesPerSecond=24310, secondsRemaining=1.5)


def test_the_open_epoch_is_one_live_line(job, terminal):
    screen = terminal(120, NO_COLOR="1")
    job.status(metrics={"loss": 0.1234}, **PROGRESS)
    line = "Epoch 1/3 [===========>        ] 812/1,437  loss 0.1234  24,310 examples/s  2 s left"
    screen.wait_for(r"\r" + re.escape(line) + r"\x1b\[K")
    job.epochs(1, metrics={"loss": 0.1}, **PROGRESS)
    screen.wait_for(r"\r\x1b\[KEpoch 1/3  100 examples in 0\.5 s  loss 1\.0000\r\n")
    screen.wait_for(r"\rEpoch 2/3 \[")
    job.epochs(3, state="Succeeded", outputs=["/o/history.json"])
    screen.wait_for(r"\r\x1b\[KEpoch 2/3 .*\r\nEpoch 3/3 .*\r\n")
    screen.wait_for(r"^faked: done in .*  loss 0\.3333\r\n  /o/history\.json\r\n")
    assert screen.process.wait(30) == 0


def test_the_line_follows_the_terminals_width(job, terminal):
    screen = terminal(40, NO_COLOR="1")
    job.status(metrics={"loss": 0.1234}, **PROGRESS)
    screen.wait_for(r"\rEpoch 1/3 812/1,437  loss 0\.1234\x1b\[K")
    screen.resize(20)
    screen.wait_for(r"\rEpoch 1/3\x1b\[K")


def test_colours_only_where_they_are_wanted(job, terminal):
    job.status(metrics={"loss": 0.1234}, **PROGRESS)
    assert terminal(120).wait_for("\x1b\\[32m")
    plain = terminal(120, NO_COLOR="1")
    plain.wait_for("loss 0.1234")
    plain.wait_for("loss 0.1234")
    assert "\x1b[3" not in plain.read() and "\x1b[1m" not in plain.text


def test_a_dumb_terminal_gets_plain_lines(job, terminal):
    screen = terminal(120, TERM="dumb")
    job.epochs(1, metrics={"loss": 0.1}, **PROGRESS)
    screen.wait_for(r"Epoch 1/3  100 examples in 0\.5 s  loss 1\.0000\r\n")
    job.epochs(3, state="Succeeded")
    screen.wait_for("faked: done")
    assert "\x1b" not in screen.text
