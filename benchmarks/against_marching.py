"""Tracing against marching from region to region, the way linear regions along a line have been found so far.

    python benchmarks/against_marching.py [--cases NAME ...] [--pairs N] [--only-missing] [--nudges] [--table]

Marching stands in the interior of a region, asks for the value of every ReLU's input and its derivative along the
segment (a forward pass over points and one over directions, here as one pass over dual numbers), and steps just past
the nearest sign change. All segments march side by side as one batch. Our own words, plain PyTorch, no part of
Transect. It cannot see a region narrower than its nudge, and may see a crossing twice where rounding reaches farther.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

import networks
import noise
import transect
from environment import markdown
from options import parser, wanted
from processes import run_here
from timing import in_turn, median_ratio

NAME = "against_marching"
# Of the segment, past each crossing; in float32 the one of --nudges that counts best.
NUDGE = {torch.float64: 1e-11, torch.float32: 3e-5}


@dataclass(frozen=True)
class Case:
    """A ResNet18 of a base width, and a path."""

    width: int
    path: Callable[[], transect.Path]
    dtype: torch.dtype = torch.float64


CASES = {
    "resnet18-w4-short-line": Case(4, lambda: noise.line(0.02)),
    "resnet18-w4-8-segments": Case(4, noise.short_segments),
    "resnet18-w4-8-segments-float32": Case(4, noise.short_segments, torch.float32),
    "resnet18-w4-4-lines": Case(4, noise.four_lines),
    "resnet18-w4-4-lines-float32": Case(4, noise.four_lines, torch.float32),
}


def main() -> None:
    """Run the cases, and write each row as it comes."""
    arguments = parser(__doc__, CASES)
    arguments.add_argument("--pairs", type=int, default=1)
    arguments.add_argument("--nudges", action="store_true", help="count with several nudges, and do nothing else")
    options = arguments.parse_args()
    if options.table:
        print(table())
    elif options.nudges:
        for nudge, found in counts_by_nudge():
            print(f"{nudge:.0e}: {found:,} crossings", flush=True)
    else:
        run_here(NAME, wanted(NAME, options), lambda name: row_of(name, CASES[name], options.pairs))


def row_of(name: str, case: Case, pairs: int, device: str = "cpu", budget: int | None = None) -> dict[str, Any]:
    """Both, timed in turn."""
    path, module = case.path(), networks.resnet18(case.width).to(device, case.dtype)
    network = transect.capture(networks.resnet18(case.width).to(device), path.anchors[0], dtype=case.dtype)
    chosen: dict[str, Any] = {} if budget is None else {"budget": budget}
    found: dict[str, Tensor] = {}

    def traced() -> None:
        found["trace"] = transect.trace(network, path, keep="measures", verify=False, **chosen).crossings

    def marched() -> None:
        found["march"] = march(module, path, case.dtype, NUDGE[case.dtype], device)

    traced()  # warms up; marching needs none, with its thousands of steps
    seconds = in_turn({"trace": traced, "march": marched}, pairs, device)
    return {
        "case": name,
        "dtype": str(case.dtype).removeprefix("torch."),
        "segments": len(path),
        "crossings": int(found["trace"].sum()),
        "marched": int(found["march"].sum()),
        "segments_that_agree": int((found["trace"] == found["march"].cpu()).sum()),
        "trace_s": statistics.median(seconds["trace"]),
        "march_s": statistics.median(seconds["march"]),
        "times_faster": median_ratio(seconds["march"], seconds["trace"]),
        "pairs": pairs,
    }


def march(module: nn.Module, path: transect.Path, dtype: torch.dtype, nudge: float, device: str = "cpu") -> Tensor:
    """Crossings of each segment, ``(S,)``, found region by region."""
    start, end = path.starts.to(device, dtype), path.ends.to(device, dtype)
    t = torch.zeros(len(start), dtype=dtype, device=device)
    found = torch.zeros(len(start), dtype=torch.int64, device=device)
    going = torch.arange(len(start), device=device)
    while len(going):
        now = (t[going] + nudge).clamp_max(1)
        step = _next_change(module, torch.lerp(start[going], end[going], _column(now, start)), (end - start)[going])
        t[going] = now + step
        inside = t[going] < 1
        found[going] += inside
        going = going[inside]
    return found


def counts_by_nudge() -> Iterator[tuple[float, int]]:
    """Crossings that marching counts in float32 on the first of the short segments; 0 stands for float64."""
    path = noise.short_segments().between(0, 1)
    yield 0.0, int(march(networks.resnet18(4).double(), path, torch.float64, NUDGE[torch.float64]).sum())
    for nudge in (1e-6, 1e-5, 3e-5, 1e-4, 3e-4):
        yield nudge, int(march(networks.resnet18(4), path, torch.float32, nudge).sum())


def _next_change(module: nn.Module, points: Tensor, directions: Tensor) -> Tensor:
    """Distance along the directions to the nearest sign change of a ReLU's input, ``(rows,)``; infinite for none."""
    nearest = points.new_full((len(points),), float("inf"))

    def see(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        z, slope = forward_ad.unpack_dual(given[0])
        if slope is not None:
            step = torch.where(slope == 0, float("inf"), -z / slope)
            torch.minimum(nearest, step.masked_fill_(step <= 0, float("inf")).flatten(1).amin(1), out=nearest)

    hooks = [layer.register_forward_pre_hook(see) for layer in module.modules() if isinstance(layer, nn.ReLU)]
    try:
        with torch.no_grad(), forward_ad.dual_level():
            module(forward_ad.make_dual(points, directions))
    finally:
        for hook in hooks:
            hook.remove()
    return nearest


def _column(numbers: Tensor, like: Tensor) -> Tensor:
    return numbers.reshape(-1, *(1,) * (like.dim() - 1))


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "crossings", "found by marching", "trace", "marching", "times faster")
    return markdown(NAME, columns, _cells, CASES)


def _cells(row: dict[str, Any]) -> list[str]:
    counts = [f"{row['crossings']:,}", f"{row['marched']:,}"]
    return [row["case"], *counts, f"{row['trace_s']:.2f} s", f"{row['march_s']:.1f} s", f"{row['times_faster']:.0f}"]


if __name__ == "__main__":
    main()
