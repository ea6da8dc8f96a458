"""Waiting for conditions, for fixtures and tests alike."""

import os
import time

import pytest

# Sanitizer builds run several times slower; deadlines of tests are multiplied by this.
SLOWNESS = 5 if os.environ.get("ELEPHAS_SANITIZE") else 1


# A deadline is there to end a test whose condition never comes. Other tests on the same cores, a cluster's daemons
# among them, can make one that does come take several times as long.
PATIENCE = 3 * SLOWNESS


def wait_until(condition, timeout=30.0, what="the condition"):
    """Returns the first truthy value of condition(), which a machine of its own has within `timeout` seconds; fails
    the test after PATIENCE times as long without one."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"gave up waiting for {what} after {timeout * PATIENCE:g} s")
        time.sleep(0.01)
