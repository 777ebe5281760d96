"""Random networks, whose number of crossings is known on average.

A bias-free ReLU network with He initialisation has N * angle / pi crossings in expectation between two points seen
under an angle from the origin: exactly for one layer, whose hyperplanes have uniformly distributed normals; for more
layers in the limit of wide ones, since a layer keeps the length of the curve that the angle describes. On a nearly
infinite line the angle is pi: a region for each unit (Hanin & Rolnick 2019).
"""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor, nn

import transect
from support.models import perceptron, points

DIMENSIONS, UNITS = 40, 2000
SEGMENTS = 12


@cache
def _one_layer() -> tuple[nn.Sequential, transect.Network]:
    module = perceptron(DIMENSIONS, UNITS, 1, bias=False)
    return module, transect.capture(module, torch.zeros(DIMENSIONS))


@pytest.mark.parametrize("angle", [0.05, 0.5, math.pi / 3, math.pi / 2, 3.0])
def test_one_layer(angle: float):
    """Whatever the two norms, each unit crosses with probability angle / pi, on its own: within four deviations."""
    share, trials = angle / math.pi, UNITS * SEGMENTS
    found = _total_flips(_one_layer()[1], _segments(angle))
    assert abs(int(found.sum()) - trials * share) < 4 * math.sqrt(trials * share * (1 - share))


def test_one_layer_unit_by_unit():
    """The units that cross are those whose weights see the two ends on opposite sides; no two at one place."""
    module, network = _one_layer()
    for path in _segments(math.pi / 2):
        at_start, at_end = path.anchors @ module[0].weight.detach().T
        found = transect.trace(network, path)
        assert (
            sorted(found.segments[0].flips.unit.tolist())
            == ((at_start > 0) != (at_end > 0)).nonzero().flatten().tolist()
        )
        assert found.crossings.tolist() == found.flips.tolist()


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_several_wide_layers(depth: int):
    width, angle = 400, 1.0
    module = perceptron(DIMENSIONS, *[width] * depth, 1, bias=False, seed=depth)
    layers = _total_flips(transect.capture(module, torch.zeros(DIMENSIONS)), _segments(angle))
    expected = SEGMENTS * width * angle / math.pi
    assert int(layers.sum()) == pytest.approx(depth * expected, rel=0.06)
    assert layers.tolist() == pytest.approx([expected] * depth, rel=0.15)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_nearly_infinite_line_meets_a_region_for_each_unit(depth: int):
    """With biases, and past the origin; in a single layer each unit has exactly one hinge on the line."""
    width, far = 300, 1e5
    module = perceptron(DIMENSIONS, *[width] * depth, 1, seed=depth)
    lines = [transect.Path(torch.stack([p - far * d, p + far * d])) for p, d in points(SEGMENTS, 2, DIMENSIONS)]
    layers = _total_flips(transect.capture(module, torch.zeros(DIMENSIONS)), lines)
    assert int(layers[0]) == SEGMENTS * width
    assert layers.tolist() == pytest.approx([SEGMENTS * width] * depth, rel=0.1)


def _total_flips(network: transect.Network, paths: list[transect.Path]) -> Tensor:
    """Flips of each operation over all paths."""
    traces = transect.trace(network, paths, keep="measures")
    return torch.stack([one.flips_by_operation.sum(0) for one in traces]).sum(0)


def _segments(angle: float) -> list[transect.Path]:
    """Segments in random directions, of random norms, whose ends are seen under an angle from the origin."""
    paths = []
    for seed in range(SEGMENTS):
        u, v = torch.linalg.qr(points(2, DIMENSIONS, seed=seed).T).Q.T
        first, second = 0.5 + torch.rand(2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        paths.append(transect.Path(torch.stack([first * u, second * (math.cos(angle) * u + math.sin(angle) * v)])))
    return paths
