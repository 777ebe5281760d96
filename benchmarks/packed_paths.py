"""Many paths in one call, which share their rows, against one call a segment.

    python benchmarks/packed_paths.py [--cases NAME ...] [--pairs N] [--only-missing] [--table]

512 closed paths of 8 segments around signals of MNIST-1D (shifted and scaled along a circle) through an MLP of width
600, as initialised and trained. ``ratio`` is the time of one call a segment divided by that of one call for
all paths, timed in turn: the network is captured once, both verify, and every crossing is found by both. ``--table``
prints the rows as Markdown.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import networks
import transect
from environment import markdown
from options import parser, wanted
from processes import run_here
from timing import in_turn, ratios
from training import Data, mnist1d, train

NAME = "packed_paths"
PATHS = 512
EPOCHS = 60


def _trained(data: Data) -> nn.Module:
    model = networks.mlp(40, 600, 600, 10)
    return train(model, data, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), EPOCHS, batch=100, seed=0)


CASES: dict[str, Callable[[Data], nn.Module]] = {
    "mlp-40-600-600-10": lambda data: networks.mlp(40, 600, 600, 10),
    "mlp-40-600-600-10, trained": _trained,
}


def main() -> None:
    """Run the cases, and write each row as it comes."""
    arguments = parser(__doc__, CASES)
    arguments.add_argument("--pairs", type=int, default=3)
    options = arguments.parse_args()
    if options.table:
        print(table())
        return
    data = mnist1d(train=4000, test=1000, noise=0.15)
    run_here(NAME, wanted(NAME, options), lambda name: row_of(name, CASES[name](data), data, PATHS, options.pairs))


def row_of(name: str, model: nn.Module, data: Data, count: int, pairs: int) -> dict[str, Any]:
    """Both ways, timed in turn after a few paths that warm up."""
    paths = transect.paths.shift_scale_circles(data.train[:count].double())
    network = transect.capture(model, paths[0].anchors[0])
    found: dict[str, int] = {}
    works = {
        "one call": lambda: found.update(one=packed(network, paths)),
        "a call a segment": lambda: found.update(each=one_by_one(network, paths)),
    }
    packed(network, paths[:8])
    one_by_one(network, paths[:2])
    seconds = in_turn(works, pairs)
    each = ratios(seconds["a call a segment"], seconds["one call"])
    return {
        "case": name,
        "paths": len(paths),
        "segments": sum(map(len, paths)),
        "crossings": found["one"],
        "crossings_one_by_one": found["each"],
        "packed_s": statistics.median(seconds["one call"]),
        "one_by_one_s": statistics.median(seconds["a call a segment"]),
        "ratio": statistics.median(each),
        "ratios": each,
    }


def packed(network: transect.Network, paths: list[transect.Path]) -> int:
    """One call for all paths; the crossings on their segments."""
    return sum(int(trace.crossings.sum()) for trace in transect.trace(network, paths, keep="measures"))


def one_by_one(network: transect.Network, paths: list[transect.Path]) -> int:
    """One call for every segment; the crossings on them."""
    return sum(
        int(transect.trace(network, transect.paths.line(start, end), keep="measures").crossings)
        for path in paths
        for start, end in zip(path.starts, path.ends, strict=True)
    )


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "paths", "segments", "crossings", "one call", "a call a segment", "ratio", "of the pairs")
    return markdown(NAME, columns, _cells, CASES)


def _cells(row: dict[str, Any]) -> list[str]:
    counts = [f"{row[key]:,}" for key in ("paths", "segments", "crossings")]
    times = [f"{row['packed_s']:.2f} s", f"{row['one_by_one_s']:.1f} s", f"{row['ratio']:.1f}"]
    return [row["case"], *counts, *times, f"{min(row['ratios']):.1f} to {max(row['ratios']):.1f}"]


if __name__ == "__main__":
    main()
