"""Jobs that the tests of execution send to worker processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import torch

from support.waiting import until


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


def die_once(folder, name, report):
    """Is killed in its middle, but only the first time."""
    report("dying", 1, 2)
    mark = Path(folder) / f"{name}.died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def unsendable(report):
    return lambda: None


def count(name, total, report):
    """Says a lot, in two stages, and ends at once."""
    for stage in ("first", "second"):
        for step in range(1, total + 1):
            report(stage, step, total)
    return name


def hold(folder, name, report):
    """Says in which process it runs, and waits until it may go on."""
    (Path(folder) / f"{name}.{os.getpid()}").touch()
    until(lambda: (Path(folder) / "go").exists(), seconds=120)
    return name


def haunt(report):
    """Goes on reporting when it has ended."""

    def speak():
        for number in range(20):
            time.sleep(0.05)
            report(f"ghost {number}", 1, 1)

    threading.Thread(target=speak, daemon=True).start()


def nap(report):
    time.sleep(0.5)


def devices(report):
    return torch.get_num_threads(), os.environ.get("CUDA_VISIBLE_DEVICES")


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
