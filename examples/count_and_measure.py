"""How nonlinear is a network, and where? Two networks along the same paths, by count and by measure.

python examples/count_and_measure.py
"""

from __future__ import annotations

import torch
from torch import nn

import transect


def network(width: int) -> nn.Module:
    """A perceptron of two inputs and three outputs."""
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)).eval()


def main() -> None:
    """Trace one path in full, then measure two networks along twenty."""
    captured = transect.capture(network(32), torch.zeros(2))
    trace = transect.trace(captured, transect.Path([[-1.0, 0.0], [1.0, 0.5], [0.0, 1.0]], closed=True))
    for number, segment in enumerate(trace.segments):
        first, second = segment.t[:2].tolist()
        print(f"segment {number}: {len(segment.t) - 1} regions, the first from t = {first:.3f} to {second:.3f}")
    region = trace.region(0, 3).of(captured)
    print(f"the fourth region has the slope {region.slope(torch.tensor([1.0, 0.25])).tolist()} along the path")

    generator = torch.Generator().manual_seed(0)
    paths = [transect.Path(torch.randn(2, 2, generator=generator)) for _ in range(20)]
    table = transect.measure({"narrow": network(8), "wide": network(64)}, paths, progress=False)
    for name in ("crossings", "mean_deviation"):
        print(table.compare("wide", "narrow", name))


if __name__ == "__main__":
    main()
