"""Float64 convolutions on a CPU: the way chosen for a shape against PyTorch's own call.

    python benchmarks/convolutions.py [--threads N] [--table]

``times_faster`` is the median of pairs timed in turn, for as many rows as a run of the engine has. The three ways are
described in ``transect.rules.convolutions``. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from environment import described, read_rows, write_row
from transect.rules.convolutions import Geometry

NAME = "convolutions"
PAIRS = 9

# channels, channels made, side, stride, kernel, groups, rows
SHAPES = [
    (3, 4, 32, 1, 3, 1, 320),
    (4, 4, 32, 1, 3, 1, 320),
    (8, 8, 16, 1, 3, 1, 320),
    (16, 16, 8, 1, 3, 1, 320),
    (32, 32, 4, 1, 3, 1, 320),
    (16, 16, 32, 1, 3, 1, 80),
    (32, 32, 16, 1, 3, 1, 80),
    (64, 64, 8, 1, 3, 1, 80),
    (128, 128, 4, 1, 3, 1, 80),
    (512, 512, 1, 1, 3, 1, 80),
    (64, 64, 56, 1, 3, 1, 4),
    (64, 256, 56, 1, 1, 1, 4),
    (96, 96, 16, 1, 3, 96, 80),
    (144, 144, 14, 1, 5, 144, 20),
]


def main() -> None:
    """Time every shape and write its row as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    options = parser.parse_args()
    if options.table:
        print(table())
        return
    torch.set_num_threads(options.threads)
    for shape in SHAPES:
        row = row_of(*shape)
        write_row(NAME, row)
        print(json.dumps(row), flush=True)


def row_of(channels: int, made: int, side: int, stride: int, kernel: int, groups: int, rows: int) -> dict[str, Any]:
    """One shape: seconds of both, and how many times faster."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, channels, side, side, generator=generator, dtype=torch.float64)
    weight = torch.randn(made, channels // groups, kernel, kernel, generator=generator, dtype=torch.float64)
    geometry = Geometry((stride,) * 2, (kernel // 2,) * 2, (1, 1), False, (0, 0), groups)
    plain, chosen = _timed(lambda: geometry.plain(x, weight, None), lambda: geometry.convolve(x, weight, None))
    return {
        "case": f"{channels} to {made} channels, {side}x{side}, kernel {kernel}, groups {groups}, {rows} rows",
        "plain_ms": 1e3 * statistics.median(plain),
        "chosen_ms": 1e3 * statistics.median(chosen),
        "times_faster": statistics.median(a / b for a, b in zip(plain, chosen, strict=True)),
    }


def _timed(*works: Callable[[], Any]) -> list[list[float]]:
    seconds: list[list[float]] = [[] for _ in works]
    for pair in range(PAIRS + 1):
        for work, times in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work()
            if pair:  # the first warms up
                times.append(time.perf_counter() - began)
    return seconds


def table() -> str:
    """The rows in Markdown, and where they were made."""
    rows = list(read_rows(NAME).values())
    lines = [f"| {r['case']} | {r['plain_ms']:.1f} | {r['chosen_ms']:.1f} | {r['times_faster']:.1f} |" for r in rows]
    head = ["| convolution (float64) | PyTorch's call, ms | ours, ms | times faster |", "|---|---|---|---|"]
    return "\n".join([*head, *lines, "", *dict.fromkeys(described(row) for row in rows)])


if __name__ == "__main__":
    main()
