"""Time a crossing and memory, from ten thousand crossings to a million: the cost grows linearly, the memory not at all.

    python benchmarks/linear_cost.py [--cases NAME ...] [--only-missing] [--table]

Two ConvNets of three 3x3 convolutions: one with 12 channels for images of 32x32 pixels, along polylines of 1, 10 and
100 segments with about 10,000 crossings each; and a wider one with 20 channels for 64x64 pixels, along a single segment
with more than 100,000 crossings, and parts of it. All in float64 with ``keep="measures"`` and verification. The table
has the time of a crossing relative to the network's case with the fewest, and ``peak``, what the trace adds to the
resident memory of the process. Every case runs in a process of its own, warmed up by a short trace; quick ones are
repeated, and their median counts. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

import networks
import noise
import transect
from environment import markdown, read_rows
from options import parser, wanted
from processes import run_alone
from timing import Peak, timed

NAME = "linear_cost"
SMALL, LARGE = (3, 32, 32), (3, 64, 64)


@dataclass(frozen=True)
class Case:
    """A network and a path.

    Attributes:
        network: Name of the network; the case with the fewest crossings is what its others are compared with.
        model: Makes it.
        path: Makes the path.
        repeats: How often it is traced.
    """

    network: str
    model: Callable[[], nn.Module]
    path: Callable[[], transect.Path]
    repeats: int


def _polyline(segments: int, repeats: int) -> Case:
    return Case("convnet-12-32x32", lambda: networks.convnet(12, 32), lambda: noise.polyline(segments, SMALL), repeats)


def _one_segment(part: float, repeats: int) -> Case:
    return Case("convnet-20-64x64", lambda: networks.convnet(20, 64), lambda: noise.wide_angle(part, LARGE), repeats)


CASES = {
    "convnet-12, 1 segment": _polyline(1, 5),
    "convnet-12, 10 segments": _polyline(10, 3),
    "convnet-12, 100 segments": _polyline(100, 1),
    "convnet-20, a part of the segment": _one_segment(0.22, 3),
    "convnet-20, half of the segment": _one_segment(0.5, 1),
    "convnet-20, one segment": _one_segment(1.0, 1),
}


def main() -> None:
    """Run the cases, each in its own process, and write each row as it comes."""
    options = parser(__doc__, CASES, one=True).parse_args()
    if options.table:
        print(table())
    elif options.one:
        print(json.dumps(row_of(options.one, CASES[options.one])))
    else:
        sys.exit(run_alone(NAME, __file__, wanted(NAME, options)))


def row_of(name: str, case: Case) -> dict[str, Any]:
    """Trace a case as often as it wants."""
    path = case.path()
    network = transect.capture(case.model(), path.anchors[0])
    found: dict[str, transect.Trace] = {}
    with Peak() as peak:
        transect.trace(network, path, keep="measures", between=(0, 0.01))
        seconds = [
            timed(lambda: found.update(trace=transect.trace(network, path, keep="measures")))
            for _ in range(case.repeats)
        ]
    crossings = int(found["trace"].crossings.sum())
    return {
        "case": name,
        "network": case.network,
        "units": sum(network.units),
        "segments": len(path),
        "crossings": crossings,
        "trace_s": statistics.median(seconds),
        "seconds": seconds,
        "microseconds_a_crossing": 1e6 * statistics.median(seconds) / crossings,
        "peak_mib": peak.mib,
        "relative_error": found["trace"].verification.relative_error,
    }


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "units", "segments", "crossings", "trace", "a crossing", "times the first", "peak")
    first = first_of_each(list(read_rows(NAME).values()))

    def cells(row: dict[str, Any]) -> list[str]:
        times = row["microseconds_a_crossing"] / first[row["network"]]
        counts = [f"{row[key]:,}" for key in ("units", "segments", "crossings")]
        each = f"{row['microseconds_a_crossing']:.0f} µs"
        return [row["case"], *counts, f"{row['trace_s']:.1f} s", each, f"{times:.2f}", f"{row['peak_mib']:.0f} MiB"]

    return markdown(NAME, columns, cells, CASES)


def first_of_each(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Microseconds a crossing in the case of each network that has the fewest crossings."""
    ordered = sorted(rows, key=lambda row: -row["crossings"])
    return {row["network"]: row["microseconds_a_crossing"] for row in ordered}


if __name__ == "__main__":
    main()
