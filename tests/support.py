"""Waiting for conditions, for fixtures and tests alike."""

import os
import time

import pytest

# Sanitizer builds run several times slower; deadlines of tests are multiplied by this.
SLOWNESS = 5 if os.environ.get("ELEPHAS_SANITIZE") else 1


def wait_until(condition, timeout=30.0, what="the condition"):
    """Returns the first truthy value of condition(); fails the test after `timeout` seconds without one."""
    deadline = time.monotonic() + timeout * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"gave up waiting for {what} after {timeout * SLOWNESS:g} s")
        time.sleep(0.01)
