"""Tracing against dense sampling: how many points on a grid show how much of what a trace finds exactly.

    python benchmarks/against_sampling.py [--cases NAME ...] [--only-missing] [--table]

A ResNet18 of base width 4 along half of the way between two noise images, in float64. The grid has equal steps; a
neighbouring pair of points with different activation patterns counts as one region border, and every unit that differs
as one flip (what turns and turns back between two points stays unseen). The deviation is that of the trapezoidal rule.
``found`` and ``flips`` are parts of what the trace has, ``deviation_error`` is relative to it. Forward passes have 16
rows, with which this network is fastest. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import networks
import noise
import transect
from environment import markdown
from options import parser, wanted
from processes import run_here
from timing import timed

NAME = "against_sampling"
BATCH = 16
CASES = {f"{count:,} points": count for count in (100, 1_000, 10_000, 100_000)}


def main() -> None:
    """Run the cases, and write each row as it comes."""
    options = parser(__doc__, CASES).parse_args()
    if options.table:
        print(table())
        return
    model, path = networks.resnet18(4).double(), noise.line(0.5)
    run_here(NAME, wanted(NAME, options), lambda name: row_of(name, CASES[name], model, path))


def row_of(name: str, count: int, model: nn.Module, path: transect.Path) -> dict[str, Any]:
    """The trace and one grid, one after the other."""
    network = transect.capture(model, path.anchors[0])
    kept: dict[str, Any] = {}

    def traced() -> None:
        kept["trace"] = transect.trace(network, path, keep="measures", verify=False)

    traced()  # warms up
    trace_s = timed(traced)
    sample_s = timed(lambda: kept.update(sampled=sample(model, path, count)))
    trace, (borders, flips, outputs) = kept["trace"], kept["sampled"]
    exact = float(trace.across_outputs(trace.absolute_deviation()))
    return {
        "case": name,
        "crossings": int(trace.crossings),
        "found": borders / int(trace.crossings),
        "flips": flips / int(trace.flips),
        "deviation_error": abs(deviation(outputs, path.length) / exact - 1),
        "trace_s": trace_s,
        "sample_s": sample_s,
    }


def sample(model: nn.Module, path: transect.Path, count: int) -> tuple[int, int, Tensor]:
    """Borders and flips seen between neighbouring points of a grid on one segment, and the outputs at the points."""
    signs: list[Tensor] = []
    before: Tensor | None = None
    borders = flips = 0
    outputs = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, given: signs.append((given[0] > 0).flatten(1)))
        for layer in model.modules()
        if isinstance(layer, nn.ReLU)
    ]
    try:
        for t in torch.linspace(0, 1, count, dtype=torch.float64).split(BATCH):
            with torch.no_grad():
                outputs.append(model(torch.lerp(path.starts, path.ends, t.reshape(-1, 1, 1, 1))))
            pattern = torch.cat(signs, 1)
            signs.clear()
            whole = pattern if before is None else torch.cat([before, pattern])
            turned = (whole[1:] != whole[:-1]).sum(1)
            borders, flips = borders + int((turned > 0).sum()), flips + int(turned.sum())
            before = pattern[-1:]
    finally:
        for hook in hooks:
            hook.remove()
    return borders, flips, torch.cat(outputs)


def deviation(outputs: Tensor, length: float) -> float:
    """Absolute deviation of outputs on a grid, by the trapezoidal rule, l2 across outputs."""
    t = torch.linspace(0, 1, len(outputs), dtype=outputs.dtype).unsqueeze(1)
    gap = (outputs - torch.lerp(outputs[:1], outputs[-1:], t)).abs()
    return length * float(torch.trapezoid(gap, t, dim=0).norm())


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "crossings found", "flips found", "deviation off by", "sampling", "trace, exact")
    return markdown(NAME, columns, _cells, CASES)


def _cells(row: dict[str, Any]) -> list[str]:
    parts = [f"{100 * row['found']:.1f} %", f"{100 * row['flips']:.1f} %", f"{100 * row['deviation_error']:.2g} %"]
    return [row["case"], *parts, f"{row['sample_s']:.1f} s", f"{row['trace_s']:.1f} s"]


if __name__ == "__main__":
    main()
