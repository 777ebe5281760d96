"""Times and memory, on a CPU and on a GPU."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import torch

from environment import reset_peak, resident_bytes

Work = Callable[[], Any]


def timed(work: Work, device: str = "cpu") -> float:
    """Seconds of a work; on a GPU until it is really done."""
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def in_turn(works: Mapping[str, Work], pairs: int, device: str = "cpu") -> dict[str, list[float]]:
    """Seconds of several works, ``pairs`` times each, in turn: what else the machine does meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(pairs):
        for name, work in works.items():
            seconds[name].append(timed(work, device))
    return seconds


def ratios(above: list[float], below: list[float]) -> list[float]:
    """Ratios of works that were timed in turn, pair by pair."""
    return [a / b for a, b in zip(above, below, strict=True)]


def median_ratio(above: list[float], below: list[float]) -> float:
    """The median of :func:`ratios`."""
    return statistics.median(ratios(above, below))


class Peak:
    """What a block adds to the memory of the process at its peak: resident on a CPU, allocated on a GPU.

    Attributes:
        mib: MiB, when the block has ended.
    """

    mib = 0.0

    def __init__(self, device: str = "cpu") -> None:
        self._device = device

    def __enter__(self) -> Peak:
        gc.collect()
        if self._device == "cpu":
            self._before = resident_bytes("VmRSS")
            reset_peak()
        else:
            self._before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        after = resident_bytes("VmHWM") if self._device == "cpu" else torch.cuda.max_memory_allocated()
        self.mib = (after - self._before) / 2**20


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
