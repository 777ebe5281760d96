"""Tracing against regioncam, the fastest published tool for regions along a line of an MLP, in single precision.

    pip install regioncam
    python benchmarks/against_regioncam.py [--pairs N] [--table]

An MLP 784-1024-1024-1024-1024-10 as PyTorch initialises it, and segments between noise inputs. Beside it the network's
own matrix products alone: one plain forward pass over as many rows as there are knots. Crossings of both are compared
with those in float64.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

import transect
from environment import described, read_rows, write_row

NAME = "against_regioncam"
CASES = {"mlp-784-1024x4-10": 1.0, "mlp-784-1024x4-10, a third of the way": 0.33}


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    sizes = (784, 1024, 1024, 1024, 1024)
    layers: list[nn.Module] = []
    for one, two in pairwise(sizes):
        layers += [nn.Linear(one, two), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(1024, 10)).eval()


def _segment(part: float) -> Tensor:
    first, second = torch.randn(2, 784, generator=torch.Generator().manual_seed(1))
    return torch.stack([first, torch.lerp(first, second, part)])


def _regioncam(model: nn.Sequential, points: Tensor) -> int:
    """Regions it finds: its own call for a segment, layer after layer."""
    import regioncam

    cam = regioncam.Regioncam1D.through_points(points.numpy(), size=2.0)
    for layer in model:
        if isinstance(layer, nn.Linear):
            cam.linear(layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy())
        else:
            cam.relu()
    return int(cam.num_edges)


def run_case(name: str, pairs: int) -> dict[str, Any]:
    """Median times of both and of the plain forward pass, in turn."""
    model, points = _model(), _segment(CASES[name])
    path = transect.Path(points)
    network = transect.capture(model, points[0], dtype=torch.float32)
    exact = transect.trace(model, path, keep="measures")
    rows = torch.lerp(points[0], points[1], torch.linspace(0, 1, int(exact.regions) + 1).unsqueeze(1))
    counts: dict[str, int] = {}
    works: dict[str, Callable[[], Any]] = {
        "trace": lambda: counts.update(
            trace=int(transect.trace(network, path, keep="measures", verify=False).crossings)
        ),
        "regioncam": lambda: counts.update(regioncam=_regioncam(model, points) - 1),
        "forward": lambda: _forward(model, rows),
    }
    seconds: dict[str, list[float]] = {key: [] for key in works}
    for pair in range(pairs + 1):
        for key, work in works.items():
            began = time.perf_counter()
            work()
            if pair:  # the first warms up
                seconds[key].append(time.perf_counter() - began)
    medians = {f"{key}_ms": 1e3 * statistics.median(found) for key, found in seconds.items()}
    return {
        "case": name,
        "crossings_float64": int(exact.crossings),
        "crossings_trace": counts["trace"],
        "crossings_regioncam": counts["regioncam"],
        **medians,
        "times_faster": _ratio(seconds["regioncam"], seconds["trace"]),
        "times_the_forward": _ratio(seconds["trace"], seconds["forward"]),
    }


def _forward(model: nn.Module, rows: Tensor) -> None:
    with torch.no_grad():
        model(rows)


def _ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def table() -> str:
    """The rows in Markdown, and where they were made."""
    rows = list(read_rows(NAME).values())
    head = [
        "| case | crossings (float64) | ours, float32 | regioncam | trace | regioncam | forward | times faster |",
        "|---" * 8 + "|",
    ]
    lines = [
        f"| {r['case']} | {r['crossings_float64']:,} | {r['crossings_trace']:,} | {r['crossings_regioncam']:,} | "
        f"{r['trace_ms']:.0f} ms | {r['regioncam_ms']:.0f} ms | {r['forward_ms']:.0f} ms | {r['times_faster']:.1f} |"
        for r in rows
    ]
    return "\n".join([*head, *lines, "", *dict.fromkeys(described(row) for row in rows)])


def main() -> None:
    """Run the cases, and write each row as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    options = parser.parse_args()
    if options.table:
        print(table())
        return
    for name in CASES:
        row = run_case(name, options.pairs)
        write_row(NAME, row)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
