"""Jobs that the tests of execution send to worker processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch


def square(number, report):
    for step in range(1, 4):
        report("squaring", step, 3)
    return number * number


def threads_and_pid(report):
    return torch.get_num_threads(), os.getpid()


def fail(report):
    raise ValueError("seven is missing")


def die(report):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(report):
    os._exit(7)


def meet(folder, name, other, report):
    """Ends only if two jobs run at the same time."""
    (Path(folder) / name).touch()
    until(lambda: (Path(folder) / other).exists())
    return name


def tick(folder, report):
    """Says that it lives, on and on."""
    while True:
        (Path(folder) / f"{os.getpid()}.tick").write_text(str(time.time()))
        time.sleep(0.02)


def until(condition, seconds=30.0):
    """Wait for something to come true, but not for ever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
