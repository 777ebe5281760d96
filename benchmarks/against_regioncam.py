"""Tracing against regioncam, the fastest published tool for regions along a line of an MLP, in single precision.

    pip install regioncam
    python benchmarks/against_regioncam.py [--cases NAME ...] [--pairs N] [--only-missing] [--table]

An MLP 784-1024-1024-1024-1024-10 as PyTorch initialises it, and segments between noise inputs. Beside it the network's
own matrix products alone: one plain forward pass over as many rows as there are knots. Crossings of both are compared
with those in float64.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor, nn

import networks
import transect
from environment import markdown
from options import parser, wanted
from processes import run_here
from timing import in_turn, median_ratio

NAME = "against_regioncam"
CASES = {
    "mlp-784-1024x4-10": 1.0,
    "mlp-784-1024x4-10, half of the way": 0.5,
    "mlp-784-1024x4-10, a third of the way": 0.33,
}


def main() -> None:
    """Run the cases, and write each row as it comes."""
    arguments = parser(__doc__, CASES)
    arguments.add_argument("--pairs", type=int, default=15)
    options = arguments.parse_args()
    if options.table:
        print(table())
    else:
        run_here(NAME, wanted(NAME, options), lambda name: row_of(name, CASES[name], options.pairs))


def row_of(name: str, part: float, pairs: int) -> dict[str, Any]:
    """Median times of both and of the plain forward pass, in turn."""
    model, points = networks.mlp(784, 1024, 1024, 1024, 1024, 10), _segment(part)
    path = transect.Path(points)
    network = transect.capture(model, points[0], dtype=torch.float32)
    exact = transect.trace(model, path, keep="measures")
    rows = torch.lerp(points[0], points[1], torch.linspace(0, 1, int(exact.regions) + 1).unsqueeze(1))
    counts: dict[str, int] = {}

    def traced() -> None:
        counts["trace"] = int(transect.trace(network, path, keep="measures", verify=False).crossings)

    def theirs() -> None:
        counts["regioncam"] = _regioncam(model, points) - 1

    works = {"trace": traced, "regioncam": theirs, "forward": lambda: _forward(model, rows)}
    in_turn(works, 1)  # warms up
    seconds = in_turn(works, pairs)
    return {
        "case": name,
        "crossings_float64": int(exact.crossings),
        "crossings_trace": counts["trace"],
        "crossings_regioncam": counts["regioncam"],
        **{f"{key}_ms": 1e3 * statistics.median(found) for key, found in seconds.items()},
        "times_faster": median_ratio(seconds["regioncam"], seconds["trace"]),
        "times_the_forward": median_ratio(seconds["trace"], seconds["forward"]),
    }


def _segment(part: float) -> Tensor:
    first, second = torch.randn(2, 784, generator=torch.Generator().manual_seed(1))
    return torch.stack([first, torch.lerp(first, second, part)])


def _regioncam(model: nn.Sequential, points: Tensor) -> int:
    """Regions it finds: its own call for a segment, layer after layer."""
    import regioncam  # type: ignore[import-untyped]

    cam = regioncam.Regioncam1D.through_points(points.numpy(), size=2.0)
    for layer in model:
        if isinstance(layer, nn.Linear):
            cam.linear(layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy())
        else:
            cam.relu()
    return int(cam.num_edges)


def _forward(model: nn.Module, rows: Tensor) -> None:
    with torch.no_grad():
        model(rows)


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "crossings (float64)", "ours, float32", "regioncam", "trace", "regioncam", "forward",
               "times faster", "times the forward")  # fmt: skip
    return markdown(NAME, columns, _cells, CASES)


def _cells(row: dict[str, Any]) -> list[str]:
    counts = [f"{row[f'crossings_{name}']:,}" for name in ("float64", "trace", "regioncam")]
    times = [f"{row[f'{name}_ms']:.0f} ms" for name in ("trace", "regioncam", "forward")]
    return [row["case"], *counts, *times, f"{row['times_faster']:.2f}", f"{row['times_the_forward']:.2f}"]


if __name__ == "__main__":
    main()
