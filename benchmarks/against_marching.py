"""Tracing against marching from region to region, the way linear regions along a line have been found so far.

    python benchmarks/against_marching.py [--pairs N] [--cases NAME ...] [--table]

Marching stands in the interior of a region, asks for the value of every ReLU's input and its derivative along the
segment (a forward pass over points and one over directions, here as one pass over dual numbers), and steps just past
the nearest sign change. All segments march side by side as one batch. Our own words, plain PyTorch, no part of
Transect. It cannot see a region narrower than its nudge, and may see a crossing twice where rounding reaches farther.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

import transect
from environment import described, read_rows, write_row
from trace_against_forward import _line, _model, _noise, _short_segments

NAME = "against_marching"
# Of the segment, past each crossing; in float32 the one of --nudges that counts best.
NUDGE = {torch.float64: 1e-11, torch.float32: 3e-5}


def _four_lines() -> transect.Path:
    """A polyline between five noise images, each half of the way to the next: about 10,000 regions a segment."""
    anchors = [_noise(1)[0]]
    for target in _noise(4, seed=5):
        anchors.append(torch.lerp(anchors[-1], target, 0.5))
    return transect.Path(torch.stack(anchors))


CASES = {
    "resnet18-w4-8-segments": (4, torch.float64, _short_segments),
    "resnet18-w4-8-segments-float32": (4, torch.float32, _short_segments),
    "resnet18-w4-4-lines": (4, torch.float64, _four_lines),
    "resnet18-w4-4-lines-float32": (4, torch.float32, _four_lines),
    "resnet18-w4-short-line": (4, torch.float64, lambda: _line(0.02)),
}


def march(module: nn.Module, path: transect.Path, dtype: torch.dtype, nudge: float) -> Tensor:
    """Crossings of each segment, ``(S,)``, found region by region."""
    start, end = path.starts.to(dtype), path.ends.to(dtype)
    t = torch.zeros(len(start), dtype=dtype)
    found = torch.zeros(len(start), dtype=torch.int64)
    going = torch.arange(len(start))
    while len(going):
        now = (t[going] + nudge).clamp_max(1)
        step = _next_change(module, torch.lerp(start[going], end[going], _column(now)), (end - start)[going])
        t[going] = now + step
        inside = t[going] < 1
        found[going] += inside
        going = going[inside]
    return found


def counts_by_nudge() -> Iterator[tuple[float, int]]:
    """Crossings that marching counts in float32 on the first of the short segments; 0 stands for float64."""
    path = _short_segments().between(0, 1)
    yield 0.0, int(march(_model(4).double(), path, torch.float64, NUDGE[torch.float64]).sum())
    for nudge in (1e-6, 1e-5, 3e-5, 1e-4, 3e-4):
        yield nudge, int(march(_model(4), path, torch.float32, nudge).sum())


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


def _column(numbers: Tensor) -> Tensor:
    return numbers.reshape(-1, 1, 1, 1)


def run_case(name: str, pairs: int) -> dict[str, Any]:
    """Both, timed in turn."""
    width, dtype, make = CASES[name]
    path, module = make(), _model(width).to(dtype)
    network = transect.capture(_model(width), path.anchors[0], dtype=dtype)
    transect.trace(network, path, keep="measures", verify=False)
    ours, theirs = [], []
    for _ in range(pairs):
        began = time.perf_counter()
        trace = transect.trace(network, path, keep="measures", verify=False)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        marched = march(module, path, dtype, NUDGE[dtype])
        theirs.append(time.perf_counter() - began)
    return {
        "case": name,
        "segments": len(path),
        "crossings": int(trace.crossings.sum()),
        "marched": int(marched.sum()),
        "trace_s": statistics.median(ours),
        "march_s": statistics.median(theirs),
        "times_faster": statistics.median(b / a for a, b in zip(ours, theirs, strict=True)),
        "pairs": pairs,
    }


def table() -> str:
    """The rows in Markdown, and where they were made."""
    rows = list(read_rows(NAME).values())
    head = ["| case | crossings | found by marching | trace | marching | times faster |", "|---" * 6 + "|"]
    lines = [
        f"| {r['case']} | {r['crossings']:,} | {r['marched']:,} | {r['trace_s']:.2f} s | {r['march_s']:.1f} s | "
        f"{r['times_faster']:.0f} |"
        for r in rows
    ]
    return "\n".join([*head, *lines, "", *dict.fromkeys(described(row) for row in rows)])


def main() -> None:
    """Run the cases, and write each row as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--nudges", action="store_true", help="count with several nudges, and do nothing else")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    options = parser.parse_args()
    if options.table:
        print(table())
        return
    if options.nudges:
        for nudge, found in counts_by_nudge():
            print(f"{nudge:.0e}: {found:,} crossings", flush=True)
        return
    for name in options.cases:
        row = run_case(name, options.pairs)
        write_row(NAME, row)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
