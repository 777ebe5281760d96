from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import transect
from oracle.planes import Cell, Tiling
from oracle.polygons import area, centroid, coordinates, cut
from support.random_planes import random_plane

TRIANGLES = [(4, "mixed"), (8, "mixed"), (7, "through origin"), (12, "through origin"), (3, "copies")]  # random planes


class Residual(nn.Module):
    """Convolutions with max-pooling and a sum around one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.first(x)))
        return self.last(torch.relu(x + self.second(x)).flatten(1))


@pytest.fixture(scope="module")
def residual() -> transect.Network:
    torch.manual_seed(3)
    return transect.capture(Residual().double(), torch.zeros(1, 1, 4, 4, dtype=torch.float64))


@pytest.fixture(scope="module")
def plane() -> transect.Plane:
    return transect.Plane.around(torch.randn(1, 4, 4, dtype=torch.float64, generator=_generator(0)), 1.5, seed=1)


@pytest.fixture(scope="module")
def whole(residual: transect.Network, plane: transect.Plane) -> transect.Slice:
    return transect.slice(residual, plane, verify="all")


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_random_chords_cross_borders_as_often_as_they_are_long(residual, plane, whole):
    """Cauchy and Crofton: crossings per length are 2 / pi times the length of the borders over the area."""
    traces = [transect.trace(residual, chord, verify=False) for chord in plane.random_chords(200, 0)]
    crossings = np.array([int(trace.crossings.sum()) for trace in traces], dtype=float)
    expected = 2 * whole.border_length / plane.perimeter
    assert abs(crossings.mean() - expected) < 4 * crossings.std() / math.sqrt(len(crossings))
    lengths = np.array([float(trace.path.lengths.sum()) for trace in traces])
    estimate = math.pi / 2 * plane.area * crossings.sum() / lengths.sum()
    assert abs(estimate / whole.border_length - 1) < 0.1


def _counts(found: transect.Slice) -> tuple[int, int, int]:
    return found.regions, found.borders, found.vertices


def _turned(plane: transect.Plane, matrix: list[list[float]]) -> transect.Plane:
    """The same domain in other directions, whose coordinates a matrix turns into the old ones."""
    by = torch.tensor(matrix, dtype=torch.float64)
    u, v = (by[0, k] * plane.u + by[1, k] * plane.v for k in (0, 1))
    return transect.Plane(plane.origin, u, v, plane.corners @ torch.linalg.inv(by).T)


@pytest.mark.parametrize(
    "matrix",
    [[[1, 0], [0, -1]], [[0, 1], [1, 0]], [[0.6, -0.8], [0.8, 0.6]], [[3, 0], [1, 0.01]]],
    ids=["reflected", "exchanged", "rotated", "sheared"],
)
def test_other_coordinates_of_the_same_domain_change_nothing(residual, plane, whole, matrix: list[list[float]]):
    found = transect.slice(residual, _turned(plane, matrix))
    assert _counts(found) == _counts(whole)
    torch.testing.assert_close(found.border_length_by_operation, whole.border_length_by_operation, rtol=1e-9, atol=0)
    torch.testing.assert_close(
        found.polygons.area.sort().values, whole.polygons.area.sort().values, rtol=1e-7, atol=1e-9
    )
    torch.testing.assert_close(found.mean_slope, whole.mean_slope, rtol=1e-9, atol=0)


def test_parts_of_the_domain_have_the_regions_of_the_whole(residual, plane, whole):
    """And as many more as the line between them cuts in two."""
    low, high, at = plane.corners.amin(0).tolist(), plane.corners.amax(0).tolist(), 0.3
    parts = [plane.window(low, [at, high[1]]), plane.window([at, low[1]], high)]
    found = [transect.slice(residual, part) for part in parts]
    line = transect.Path(plane.at(torch.tensor([[at, low[1]], [at, high[1]]], dtype=torch.float64)))
    on_line = int(transect.trace(residual, line).crossings.sum()) + 1
    assert sum(part.regions for part in found) == whole.regions + on_line
    assert _patterns(residual, found[0]) | _patterns(residual, found[1]) == _patterns(residual, whole)
    assert sum(part.border_length for part in found) == pytest.approx(whole.border_length)


def _patterns(network: transect.Network, found: transect.Slice) -> set[str]:
    patterns = [found.pattern(network, k) for k in range(found.regions)]
    names = {repr([pattern.pieces(name).tolist() for name in network.operations]) for pattern in patterns}
    assert len(names) == found.regions, "two regions with one pattern"
    return names


@pytest.mark.parametrize(("seed", "kind"), TRIANGLES)
def test_deviation_on_a_triangle_is_the_exact_integral(seed: int, kind: str):
    case = random_plane(seed, kind)
    network = transect.capture(case.module(), case.case.origin[np.newaxis])
    plane = transect.Plane(*case.plane())
    found = transect.slice(network, plane)
    exact = np.array([float(x) for x in _deviation(case.tiling)]) * plane.area / float(case.tiling.area)
    np.testing.assert_allclose(found.deviation.numpy(), exact, rtol=1e-9, atol=found.deviation_rounding)
    low, high = found.deviation_norm
    assert exact.max() <= high + found.deviation_rounding
    assert low <= exact.sum() + found.deviation_rounding


def _deviation(tiling: Tiling) -> list[Fraction]:
    """The integral of ``|f - a|`` of every output, in plane coordinates."""
    corners = [coordinates(corner) for corner in tiling.domain]
    at_corners = [tiling.around(*corner)[0].output.at(*corner) for corner in corners]
    (a0, b0), (a1, b1), (a2, b2) = corners
    under = (a1 - a0) * (b2 - b0) - (a2 - a0) * (b1 - b0)
    total = []
    for output, (f0, f1, f2) in enumerate(zip(*at_corners, strict=True)):
        by_a = ((f1 - f0) * (b2 - b0) - (f2 - f0) * (b1 - b0)) / under
        by_b = ((a1 - a0) * (f2 - f0) - (a2 - a0) * (f1 - f0)) / under
        affine = (f0 - by_a * a0 - by_b * b0, by_a, by_b)
        total.append(sum((_absolute(cell, output, affine) for cell in tiling.cells), Fraction(0)))
    return total


def _absolute(cell: Cell, output: int, affine: tuple[Fraction, ...]) -> Fraction:
    gap = [mine - other for mine, other in zip(cell.output.coefficients[output], affine, strict=True)]
    under = math.lcm(*(part.denominator for part in gap))
    half = tuple(int(part * under) for part in gap)
    found = Fraction(0)
    for part, sign in zip(cut(cell.polygon, half), (1, -1), strict=True):
        if part is not None:
            a, b = centroid(part)
            found += sign * area(part) * (gap[0] + gap[1] * a + gap[2] * b)
    return found
