"""Measuring many paths: with two worker processes against one, and packed against one call a segment.

    python benchmarks/measure_workers.py [--pairs 3] [--cases NAME ...] [--paths N] [--table]

``ratio`` is the time of the second way divided by the time of the first, which are timed in turn: start of the workers,
capture and table included. A case with other than its own number of paths (``--paths``, to try something quickly) is
printed and not kept. ``--table`` prints the kept rows as Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import transect
from environment import described, read_rows, write_row
from transect.study.config import DataConfig
from transect.study.data.load import load_data
from transect.study.models.resnet import resnet18

NAME = "measure_workers"


@dataclass(frozen=True)
class Case:
    """Two ways to measure the same paths.

    Attributes:
        paths: Number of paths.
        model: Makes the network.
        make: Makes so many paths.
        ways: What the two ways are called, and the functions.
    """

    paths: int
    model: Callable[[], nn.Module]
    make: Callable[[int], list[transect.Path]]
    ways: dict[str, Callable[[nn.Module, list[transect.Path]], int]]


def mlp(width: int) -> nn.Module:
    """An MLP for MNIST-1D, as initialised by PyTorch."""
    torch.manual_seed(0)
    layers = [nn.Linear(40, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)]
    return nn.Sequential(*layers).eval()


def resnet() -> nn.Module:
    """A ResNet18 of width 4, as initialised by PyTorch."""
    torch.manual_seed(0)
    return resnet18(4, (3, 32, 32), classes=10, batch_norm=True).eval()


def around_signals(count: int) -> list[transect.Path]:
    """Closed paths of 8 segments around signals of MNIST-1D: circles of shift and scale."""
    data = load_data(DataConfig(name="mnist1d", train_samples=4000, test_samples=1000))
    return transect.paths.shift_scale_circles(data.train.inputs[:count].double())


def short_lines(count: int) -> list[transect.Path]:
    """Each a hundredth of the way between two noise images."""
    images = torch.randn(count, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return [transect.Path(torch.stack([one, torch.lerp(one, other, 0.01)])) for one, other in images]


def with_workers(workers: int) -> Callable[[nn.Module, list[transect.Path]], int]:
    """``measure`` with so many workers; the crossings found."""

    def measured(model: nn.Module, paths: list[transect.Path]) -> int:
        return int(transect.measure(model, paths, workers=workers, progress=False).column("crossings").sum())

    return measured


def one_call_a_segment(model: nn.Module, paths: list[transect.Path]) -> int:
    """``trace`` for every segment on its own, one thread as in ``measure``."""
    network = transect.capture(model, paths[0].anchors[0])
    segments = [torch.stack(ends) for path in paths for ends in zip(path.starts, path.ends, strict=True)]
    found = (transect.trace(network, transect.Path(ends), keep="measures") for ends in segments)
    return sum(int(trace.crossings.sum()) for trace in found)


TWO_WORKERS = {"1 worker": with_workers(1), "2 workers": with_workers(2)}
PACKED = {"one call a segment": one_call_a_segment, "packed": with_workers(1)}
CASES = {
    "mlp600-512-circles-workers": Case(512, lambda: mlp(600), around_signals, TWO_WORKERS),
    "resnet18-w4-64-lines-workers": Case(64, resnet, short_lines, TWO_WORKERS),
    "mlp600-512-circles-packed": Case(512, lambda: mlp(600), around_signals, PACKED),
    "mlp50-512-circles-packed": Case(512, lambda: mlp(50), around_signals, PACKED),
}


def main() -> None:
    """Run the cases and keep a row of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--paths", type=int, help="other than the case's own number; not kept")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.table:
        print(table())
        return
    for name in options.cases:
        row = run_case(name, options.pairs, options.paths or CASES[name].paths)
        print(json.dumps(row), "" if options.paths else write_row(NAME, row), flush=True)


def run_case(name: str, pairs: int, count: int) -> dict[str, object]:
    """Time the two ways of a case in turn, after a small warm-up of each."""
    case = CASES[name]
    model, paths = case.model(), case.make(count)
    for way in case.ways.values():
        way(model, paths[:2])
    times: dict[str, list[float]] = {way: [] for way in case.ways}
    crossings: dict[str, int] = {}
    for _ in range(pairs):
        for way, function in case.ways.items():
            began = time.perf_counter()
            crossings[way] = function(model, paths)
            times[way].append(time.perf_counter() - began)
    first, second = times.values()
    ratios = [b / a for a, b in zip(first, second, strict=True)]
    return {
        "case": name,
        "paths": count,
        "segments": sum(map(len, paths)),
        "crossings": crossings,
        "seconds": {way: statistics.median(seconds) for way, seconds in times.items()},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def table() -> str:
    """The kept rows in Markdown, and where they were made."""
    rows = list(read_rows(NAME).values())
    columns = ("case", "paths", "crossings", "first", "second", "ratio (pairs)")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        ways = " | ".join(f"{way}: {seconds:.1f} s" for way, seconds in row["seconds"].items())
        ratios = ", ".join(f"{one:.2f}" for one in row["ratios"])
        found = ", ".join(f"{crossings:,}" for crossings in dict.fromkeys(row["crossings"].values()))
        lines.append(f"| {row['case']} | {row['paths']:,} | {found} | {ways} | {row['ratio']:.2f} ({ratios}) |")
    return "\n".join([*lines, "", *dict.fromkeys(map(described, rows))])


if __name__ == "__main__":
    main()
