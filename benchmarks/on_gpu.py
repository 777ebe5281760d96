"""The benchmarks against the forward pass and against marching, on a CUDA GPU: ResNet18 of base width 64 and others.

    python benchmarks/on_gpu.py [--cases NAME ...] [--budget N ...] [--pairs N] [--only-missing] [--table]

Without a GPU it says so and ends. ``ratio`` and ``times_faster`` are those of ``trace_against_forward.py`` and
``against_marching.py``; the memory is what the trace allocates on the GPU. A GPU wants more rows at once than a CPU:
every budget of ``--budget`` is tried for one trace first, and the row states the one that was fastest and is used. The
library's own default is tried too, and its time is in the row. TF32 is off for the forward pass as it is inside the
engine. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

import against_marching
import networks
import noise
import trace_against_forward
import transect
from environment import markdown
from options import parser, wanted
from processes import run_alone
from timing import timed

NAME = "on_gpu"
BUDGETS = (32_000_000, 256_000_000, 1_000_000_000)


@dataclass(frozen=True)
class Case:
    """A ResNet18 of a base width and a path; marching takes thousands of steps, so that it is left out of long ones."""

    width: int
    path: Callable[[], transect.Path]
    march: bool = False


_LINES = {
    "resnet18-w64-line": Case(64, lambda: noise.line(0.02)),
    "resnet18-w64-8-segments": Case(64, lambda: noise.short_segments(1 / 250), march=True),
    "resnet18-w16-noise": Case(16, noise.line),
    "resnet18-w4-8-segments": Case(4, noise.short_segments, march=True),
    "resnet18-w4-4-lines": Case(4, noise.four_lines, march=True),
}
CASES = {
    f"{name}{suffix}": (case, dtype)
    for name, case in _LINES.items()
    for suffix, dtype in (("", torch.float64), ("-float32", torch.float32))
}


def main() -> None:
    """Run the cases, each in its own process, and write each row as it comes."""
    arguments = parser(__doc__, CASES, one=True)
    arguments.add_argument("--budget", type=int, nargs="*", default=list(BUDGETS), help="numbers kept alive, to try")
    arguments.add_argument("--pairs", type=int, default=5)
    options = arguments.parse_args()
    if options.table:
        print(table())
    elif not torch.cuda.is_available():
        print("left out: no CUDA GPU is at hand")
    elif options.one:
        print(json.dumps(row_of(options.one, options.pairs, options.budget)))
    else:
        passed = ["--pairs", str(options.pairs), "--budget", *map(str, options.budget)]
        sys.exit(run_alone(NAME, __file__, wanted(NAME, options), *passed))


def row_of(name: str, pairs: int, budgets: list[int], device: str = "cuda") -> dict[str, Any]:
    """One case: the budget, the ratio to the forward pass, and marching."""
    case, dtype = CASES[name]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    tried = _seconds_by_budget(case, dtype, budgets, device)
    budget = min(tried, key=lambda one: tried[one])
    against = trace_against_forward.Case(lambda: networks.resnet18(case.width), case.path, dtype, pairs)
    row = trace_against_forward.row_of(name, against, device=device, budget=budget)
    row |= {
        "budget": budget or "default",
        "seconds_by_budget": {str(one or "default"): seconds for one, seconds in tried.items()},
        "regions_a_second": (row["crossings"] + row["segments"]) / row["trace_s"],
    }
    if not case.march:
        return row
    marching = against_marching.Case(case.width, case.path, dtype)
    found = against_marching.row_of(name, marching, 1, device, budget)
    return row | {key: found[key] for key in ("marched", "march_s", "times_faster")}


def _seconds_by_budget(case: Case, dtype: torch.dtype, budgets: list[int], device: str) -> dict[int | None, float]:
    """Seconds of one trace each, after a short one that warms up; without those that do not fit the memory."""
    path = case.path()
    network = transect.capture(networks.resnet18(case.width).to(device), path.anchors[0], dtype=dtype)

    def traced(budget: int | None) -> None:
        chosen: dict[str, Any] = {} if budget is None else {"budget": budget}
        transect.trace(network, path, keep="measures", **chosen)

    transect.trace(network, path, keep="measures", between=(0, 0.01))
    seconds: dict[int | None, float] = {}
    for budget in (None, *budgets):
        try:
            seconds[budget] = timed(partial(traced, budget), device)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    return seconds


def table() -> str:
    """The rows in Markdown, and where they were made; a sentence where there are none."""
    columns = ("case", "crossings", "trace", "regions a second", "budget", "forward at its knots (batch)", "ratio",
               "marching", "times faster", "memory")  # fmt: skip
    found = markdown(NAME, columns, _cells, CASES)
    return "No figures of a GPU have been measured yet." if found.startswith("Not measured") else found


def _cells(row: dict[str, Any]) -> list[str]:
    marched = [f"{row['march_s']:.1f} s", f"{row['times_faster']:.0f}"] if "march_s" in row else ["", ""]
    return [
        row["case"], f"{row['crossings']:,}", f"{row['trace_s']:.2f} s", f"{row['regions_a_second']:,.0f}",
        f"{row['budget']}", f"{row['forward_s']:.2f} s ({row['forward_batch']})", f"{row['ratio']:.2f}", *marched,
        f"{row['peak_mib']:,.0f} MiB",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
