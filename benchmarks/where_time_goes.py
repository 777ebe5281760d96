"""Where the time of a trace goes: convolutions and matrix products, interpolation, the search for crossings, the rest.

    python benchmarks/where_time_goes.py [--cases NAME ...] [--only-missing] [--table]

Cases are those of ``trace_against_forward.py``, on one thread, since shares of several threads do not add up. The
profiler of PyTorch gives the time spent inside each operation, without what it calls; ``shares`` puts them together by
what they are for. What is not inside an operation is Python. A profiled trace is slower than another one, the more so
the smaller its operations: the shares of Python and of small operations are upper bounds. ``--table`` prints the rows
as Markdown.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

import trace_against_forward
import transect
from environment import markdown
from options import parser, wanted
from processes import run_here

NAME = "where_time_goes"
CASES = [name for name, case in trace_against_forward.CASES.items() if case.pairs]
PURPOSES = {
    "products": "conv convolution conv2d conv1d mm bmm addmm baddbmm linear matmul".split(),
    "bending": "clamp relu pool pool1d pool2d maximum".split(),
    "interpolation": "index lerp gather select put".split(),
    "search": """nonzero bitwise gt ge lt le eq ne equal sign signbit any all sort argsort searchsorted unique cumsum
    where amax amin max min isfinite""".split(),
    "copies": "copy cat clone contiguous fill zero zeros stack pad constant to".split(),
}
"""Operations by what a trace does them for: the words that the names of ATen consist of."""


def main() -> None:
    """Run the cases, and write each row as it comes."""
    options = parser(__doc__, CASES).parse_args()
    if options.table:
        print(table())
        return
    torch.set_num_threads(1)
    run_here(NAME, wanted(NAME, options), row_of)


def row_of(name: str) -> dict[str, Any]:
    """Profile one trace, after one that warms up."""
    case = trace_against_forward.CASES[name]
    path = case.path()
    network = transect.capture(case.network(), path.anchors[0], dtype=case.dtype)

    def traced() -> transect.Trace:
        return transect.trace(network, path, keep="measures", verify=False)

    traced()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        began = time.perf_counter()
        found = traced()
        seconds = time.perf_counter() - began
    inside = {event.key: event.self_cpu_time_total / 1e6 for event in profiler.key_averages()}
    shares = dict.fromkeys([*PURPOSES, "other operations"], 0.0)
    for operation, spent in inside.items():
        shares[purpose_of(operation)] += spent / seconds
    return {
        "case": name,
        "crossings": int(found.crossings.sum()),
        "trace_s": seconds,
        "shares": shares | {"Python": max(0.0, 1.0 - sum(shares.values()))},
    }


def purpose_of(operation: str) -> str:
    """What an operation is for, by the words of its name, such as those of ``aten::index_select``."""
    words = operation.rpartition("::")[2].split("_")
    return next(
        (purpose for purpose, known in PURPOSES.items() if not set(words).isdisjoint(known)), "other operations"
    )


def table() -> str:
    """The rows in Markdown, and where they were made."""
    shares = [*PURPOSES, "other operations", "Python"]
    return markdown(NAME, ("case", *shares), lambda row: _cells(row, shares), CASES)


def _cells(row: dict[str, Any], shares: list[str]) -> list[str]:
    return [row["case"], *(f"{100 * row['shares'][share]:.0f} %" for share in shares)]


if __name__ == "__main__":
    main()
