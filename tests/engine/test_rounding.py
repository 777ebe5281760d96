"""How large rounding is judged to be at single points, and what that changes."""

from __future__ import annotations

import copy
import warnings
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

import transect
from support.models import linear
from transect.engine.rounding import MERGED, RoundingNearby, spread_along
from transect.engine.rows import Line
from transect.errors import UnresolvedWarning


def _at(module: nn.Module, x: float) -> float:
    """Rounding of the one unit of the second bending operation at one point of a segment from -1 to 1."""
    network = transect.capture(module, torch.zeros(1, dtype=torch.float64))
    line = Line(*torch.tensor([[[-1.0]], [[2.0]], [[1.0]]], dtype=torch.float64))
    first, t = torch.zeros(1, dtype=torch.int64), torch.tensor([(x + 1) / 2], dtype=torch.float64)
    nearby = RoundingNearby(network.program, line, 1, MERGED[network.dtype])
    return float(nearby.merge(1, torch.stack([first.double(), t], 1), first))


def test_a_dead_unit_hides_its_rounding():
    """1e9 relu(x) + 1 is known to 1e-16 where the ReLU is off, and nine orders of magnitude worse where it is on."""
    module = nn.Sequential(linear([[1.0]]), nn.ReLU(), linear([[1e9]], [1.0]), nn.ReLU())
    assert _at(module, -0.5) < 1e-13
    assert _at(module, 0.5) > 1e-8


class Magnitude(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


@pytest.mark.parametrize("x", [0.0, -0.5, 0.5])
def test_a_magnitude_hides_nothing_not_even_at_its_kink(x: float):
    module = nn.Sequential(linear([[1.0]]), Magnitude(), linear([[1e9]], [1.0]), nn.ReLU())
    assert _at(module, x) > 1e-9


class Largest(nn.Module):
    """The largest of ``x``'s first coordinate, 0.1 b + 0.2 b and 0.3 b; b = 1 all along the segments of the test."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        rows = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.1, 0.2], [0.0, 0.3, 0.0]], dtype=torch.float64)
        self.first = linear(rows[order])

    def forward(self, x: Tensor) -> Tensor:
        return self.first(torch.relu(x)).amax(1, keepdim=True)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]], ids=str)
def test_numbers_that_rounding_decides_between_are_named_and_the_first_wins(order: list[int]):
    """0.1 + 0.2 is larger than 0.3 by an ulp: before x reaches 0.3 one of the two wins, and which is not known."""
    assert 0.1 + 0.2 > 0.3
    path = transect.Path(torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64))
    with pytest.warns(UnresolvedWarning, match="two members of a window"):
        found = transect.trace(Largest(order), path)
    assert {(entry.operation, entry.unit) for entry in found.unresolved} == {("amax", 0)}
    segment, first = found.segments[0], min(order.index(1), order.index(2))
    assert segment.start_pattern[1].tolist() == [first]
    assert segment.t.tolist() == pytest.approx([0, 0.3, 1])
    assert [f.tolist() for f in (segment.flips.before, segment.flips.after)] == [[first], [order.index(0)]]


def test_numbers_that_are_equal_are_not():
    module = nn.Sequential(nn.ReLU(), linear([[1.0, 0.0], [0.0, 0.5], [0.0, 0.5]]), nn.MaxPool1d(3))
    found = transect.trace(module, transect.Path(torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)))
    assert not found.unresolved
    assert found.segments[0].start_pattern[1].tolist() == [1]


def test_what_is_stated_of_deep_networks_is_of_the_size_of_their_errors():
    """Dead units pass nothing on: else what is stated would grow with every layer, here to 1e5 times as much."""
    torch.manual_seed(0)
    layers = [layer for _ in range(40) for layer in (nn.Linear(64, 64), nn.BatchNorm1d(64, momentum=1.0), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    with torch.no_grad():
        model(torch.randn(500, 64))  # batch norm statistics
    model = model.eval()
    points = torch.lerp(torch.randn(64), torch.randn(64), torch.linspace(0, 1e-4, 17).unsqueeze(1))
    network = transect.capture(model, points[0], dtype=torch.float32)
    stated = spread_along(network.program, points).outputs
    found = (network(points).double() - copy.deepcopy(model).double()(points.double())).abs()
    assert bool((found.amax(0) < 16 * stated).all())
    assert float(stated.median()) < 300 * float(found.median())


class LargestBent(nn.Module):
    """The largest of numbers that a bending operation has computed."""

    def __init__(self, bend) -> None:
        super().__init__()
        self.bend = bend

    def forward(self, x: Tensor) -> Tensor:
        return self.bend(x).amax(1, keepdim=True)


def _two_lines(x: Tensor) -> Tensor:
    return torch.where(x > 0, x * 0.3 + 0.7, x * 0.1 + 0.7)


BENDS = [nn.Hardsigmoid(), _two_lines, nn.LeakyReLU(0.3), lambda x: nn.functional.hardsigmoid(x) * 3 - 1]


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [1.0, 1e-5, 1e-11])
def test_what_a_bending_operation_rounds_is_stated(bend, dtype, size):
    """Numbers beside 1/2 lose what is below its last place: where two of them are equal is known no better."""
    generator = torch.Generator().manual_seed(5)
    network = transect.capture(LargestBent(bend), torch.zeros(1, 2, dtype=dtype), dtype=dtype)
    for _ in range(12):
        start, end = size * torch.rand(2, 1, 2, generator=generator, dtype=torch.float64).to(dtype)
        if (start[0, 0] > start[0, 1]) == (end[0, 0] > end[0, 1]):
            end = end.flip(1)
        (a, b), (c, d) = ([Fraction(number) for number in one[0].tolist()] for one in (start, end))
        exact = (a - b) / ((a - b) - (c - d))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnresolvedWarning)
            trace = transect.trace(network, transect.paths.line(start[0], end[0]))
        (segment,) = trace.segments
        for t, error in zip(segment.t[1:-1].tolist(), segment.t_error[1:-1].tolist(), strict=True):
            assert abs(Fraction(t) - exact) <= Fraction(error), (t, float(exact), error)
        assert len(segment.t) == 3 or trace.unresolved or size < 1e-9 or (size < 1e-3 and dtype == torch.float32)
