"""Measuring many paths with two worker processes against one.

    python benchmarks/measure_workers.py [--cases NAME ...] [--pairs N] [--only-missing] [--table]

``ratio`` is the time of ``transect.measure`` with one worker divided by that with two, timed in turn: start of the
workers, capture and table included. A worker has one thread, alone or not. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import networks
import noise
import transect
from environment import markdown
from options import parser, wanted
from processes import run_here
from timing import in_turn, ratios
from training import mnist1d

NAME = "measure_workers"


@dataclass(frozen=True)
class Case:
    """Many paths through a network.

    Attributes:
        model: Makes the network.
        paths: Makes so many paths.
        count: How many.
    """

    model: Callable[[], nn.Module]
    paths: Callable[[int], list[transect.Path]]
    count: int


def around_signals(count: int) -> list[transect.Path]:
    """Closed paths of 8 segments around signals of MNIST-1D: circles of shift and scale."""
    return transect.paths.shift_scale_circles(mnist1d(count, 10, noise=0.0).train.double())


def short_lines(count: int) -> list[transect.Path]:
    """Each a fiftieth of the way between two noise images."""
    starts, ends = noise.noise(2 * count, seed=1).split(count)
    return transect.paths.path(starts, torch.lerp(starts, ends, 0.02))


CASES = {
    "resnet18-w4, short lines": Case(lambda: networks.resnet18(4), short_lines, 384),
    "resnet18-w4, four times as many": Case(lambda: networks.resnet18(4), short_lines, 1536),
    "mlp-40-600-600-10, circles": Case(lambda: networks.mlp(40, 600, 600, 10), around_signals, 1024),
}


def main() -> None:
    """Run the cases, and write each row as it comes."""
    arguments = parser(__doc__, CASES)
    arguments.add_argument("--pairs", type=int, default=3)
    options = arguments.parse_args()
    if options.table:
        print(table())
        return
    torch.set_num_threads(1)
    run_here(NAME, wanted(NAME, options), lambda name: row_of(name, CASES[name], CASES[name].count, options.pairs))


def row_of(name: str, case: Case, count: int, pairs: int) -> dict[str, Any]:
    """One worker and two, in turn, after a few paths that warm up."""
    model, paths = case.model(), case.paths(count)
    found: dict[int, int] = {}
    measured(model, paths[:2], 1)
    works = {str(workers): lambda w=workers: found.update({w: measured(model, paths, w)}) for workers in (1, 2)}
    seconds = in_turn(works, pairs)
    each = ratios(seconds["1"], seconds["2"])
    return {
        "case": name,
        "paths": count,
        "segments": sum(map(len, paths)),
        "crossings": found[1],
        "crossings_two_workers": found[2],
        "one_worker_s": statistics.median(seconds["1"]),
        "two_workers_s": statistics.median(seconds["2"]),
        "ratio": statistics.median(each),
        "ratios": each,
    }


def measured(model: nn.Module, paths: list[transect.Path], workers: int) -> int:
    """``measure`` with so many workers; the crossings found."""
    return int(transect.measure(model, paths, workers=workers, progress=False).column("crossings").sum())


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "paths", "crossings", "one worker", "two workers", "times faster", "of the pairs")
    return markdown(NAME, columns, _cells, CASES)


def _cells(row: dict[str, Any]) -> list[str]:
    times = [f"{row['one_worker_s']:.1f} s", f"{row['two_workers_s']:.1f} s", f"{row['ratio']:.2f}"]
    spread = f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}"
    return [row["case"], f"{row['paths']:,}", f"{row['crossings']:,}", *times, spread]


if __name__ == "__main__":
    main()
