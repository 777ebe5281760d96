"""Waiting in tests of processes."""

from __future__ import annotations

import time


def until(condition, seconds=60.0):
    """Wait for something to come true, but not for ever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
