"""Tracing against the plain batched forward pass over the trace's own knots.

    python benchmarks/trace_against_forward.py [--cases NAME ...] [--pairs N] [--only-missing] [--table]

``ratio`` is the time of the trace divided by the time of the forward pass of the module at its knots: same dtype, same
threads, the batch size that is fastest for some hundred of these knots. Both are timed in turn; the row has every pair.
Where a forward pass over all knots would take minutes, every n-th knot is evaluated and the time multiplied by n
(``every``): each knot costs the same there. ``peak_mib`` is what the first trace adds to the resident memory of the
process. Every case runs in a process of its own. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

import networks
import noise
import transect
from environment import markdown
from options import parser, wanted
from processes import run_alone
from timing import Peak, in_turn, ratios, timed

NAME = "trace_against_forward"
BATCHES = {"cpu": (16, 32, 64, 128, 256, 512, 1024), "cuda": (64, 256, 1024, 4096)}
TRIED, TRIED_SLOW = 512, 128  # knots on which batch sizes are tried
SLOW = 0.25  # seconds for 64 of them


@dataclass(frozen=True)
class Case:
    """A network, a path, and how they are timed.

    Attributes:
        network: Makes the network.
        path: Makes the path.
        dtype: Working dtype of both sides.
        pairs: How often both are timed; 0 for one trace, of which the memory counts, and no forward pass.
        every: The forward pass takes every so many-th knot.
    """

    network: Callable[[], nn.Module]
    path: Callable[[], transect.Path]
    dtype: torch.dtype = torch.float64
    pairs: int = 5
    every: int = 1


def _both(name: str, case: Case) -> dict[str, Case]:
    """A case in both dtypes; the forward pass in float32 is short enough to take every knot."""
    fast = Case(case.network, case.path, torch.float32, case.pairs)
    return {name: case, f"{name}-float32": fast}


CASES: dict[str, Case] = {
    **_both("resnet18-w4-8-segments", Case(lambda: networks.resnet18(4), noise.short_segments)),
    **_both("resnet18-w4-line", Case(lambda: networks.resnet18(4), lambda: noise.line(0.5))),
    **_both("resnet18-w16-line", Case(lambda: networks.resnet18(16), lambda: noise.line(0.075), pairs=3, every=2)),
    **_both("vgg11-bn-line", Case(networks.vgg11_bn, lambda: noise.line(0.025), pairs=3, every=4)),
    **_both("cnn1d-c50-8-segments", Case(lambda: networks.cnn1d(50), lambda: noise.polyline(8, (40,)), pairs=9)),
    "resnet18-w16-noise": Case(lambda: networks.resnet18(16), noise.line, pairs=0),
}


def main() -> None:
    """Run the cases, each in its own process, and write each row as it comes."""
    arguments = parser(__doc__, CASES, one=True)
    arguments.add_argument("--pairs", type=int, help="instead of the case's own number")
    options = arguments.parse_args()
    if options.table:
        print(table())
    elif options.one:
        print(json.dumps(row_of(options.one, CASES[options.one], options.pairs)))
    else:
        pairs = [] if options.pairs is None else ["--pairs", str(options.pairs)]
        sys.exit(run_alone(NAME, __file__, wanted(NAME, options), *pairs))


def row_of(
    name: str, case: Case, pairs: int | None = None, device: str = "cpu", budget: int | None = None
) -> dict[str, Any]:
    """Time a case. The first trace warms up, and its memory counts."""
    path = case.path()
    network = transect.capture(case.network().to(device), path.anchors[0], dtype=case.dtype)
    chosen: dict[str, Any] = {} if budget is None else {"budget": budget}
    found: dict[str, Any] = {}
    # Keeping the knots of some thousand regions costs nothing beside the rows.
    keep: Literal["all", "measures"] = "all" if case.pairs else "measures"
    with Peak(device) as peak:
        first = timed(lambda: found.update(trace=transect.trace(network, path, keep=keep, **chosen)), device)
    row = {
        "case": name,
        "dtype": str(case.dtype).removeprefix("torch."),
        "segments": len(path),
        "crossings": int(found["trace"].crossings.sum()),
        "relative_error": found["trace"].verification.relative_error,
        "peak_mib": peak.mib,
    }
    if not case.pairs:
        return row | {"trace_s": first, "ratio": None, "ratios": []}
    module = case.network().to(device, case.dtype)
    rows = _knots(found["trace"])[:: case.every].to(device, case.dtype)
    batch = best_batch(module, rows, BATCHES[device])
    seconds = in_turn(
        {
            "trace": lambda: transect.trace(network, path, keep="measures", verify=False, **chosen),
            "forward": lambda: forward(module, rows, batch),
        },
        pairs or case.pairs,
        device,
    )
    over_all = [one * case.every for one in seconds["forward"]]
    each = ratios(seconds["trace"], over_all)
    return row | {
        "trace_s": statistics.median(seconds["trace"]),
        "forward_s": statistics.median(over_all),
        "forward_batch": batch,
        "every": case.every,
        "ratio": statistics.median(each),
        "ratios": each,
    }


def best_batch(module: nn.Module, rows: Tensor, batches: tuple[int, ...]) -> int:
    """The batch size with which a forward pass is fastest, the better of two times each, after one that warms up.

    Where some tens of rows take long, small batches are as good as large ones: these are tried, once, on fewer rows.
    """
    device, some = rows.device.type, rows[: max(TRIED, max(batches))]
    forward(module, some[:1], 1)
    slow = timed(lambda: forward(module, some[:64], 32), device) > SLOW
    if slow:
        batches, some = tuple(batch for batch in batches if batch <= TRIED_SLOW), some[:TRIED_SLOW]
    return min(
        batches,
        key=lambda batch: min(timed(lambda: forward(module, some, batch), device) for _ in range(1 if slow else 2)),
    )


def forward(module: nn.Module, rows: Tensor, batch: int) -> None:
    """A plain forward pass, batch after batch."""
    with torch.no_grad():
        for part in rows.split(batch):
            module(part)


def _knots(trace: transect.Trace) -> Tensor:
    """The inputs at all knots of a trace, segment after segment."""
    position = [segment.t + index for index, segment in enumerate(trace.segments)]
    return trace.path.evaluate(torch.cat(position))


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "crossings", "trace", "forward at its knots (batch)", "ratio", "of the pairs", "peak", "error")
    return markdown(NAME, columns, _cells, CASES)


def _cells(row: dict[str, Any]) -> list[str]:
    timed_forward, ratio, spread = "", "", ""
    if row["ratio"]:
        share = f", one knot in {row['every']}" if row.get("every", 1) > 1 else ""
        timed_forward = f"{row['forward_s']:.1f} s ({row['forward_batch']}{share})"
        ratio, spread = f"{row['ratio']:.2f}", f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}"
    return [
        row["case"], f"{row['crossings']:,}", f"{row['trace_s']:.1f} s", timed_forward, ratio, spread,
        f"{row['peak_mib']:.0f} MiB", f"{row['relative_error']:.0e}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
