"""Absolute deviation against exact rational arithmetic, quadrature and pictures one can do in the head."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from support.piecewise import Curve, curves, measured, random_curve, value
from transect.measures.absolute_deviation import AbsoluteDeviation, mean_absolute_value

_NAME = "absolute_deviation"


def _exact(curve: Curve) -> list[Fraction]:
    """Sum of triangles and trapezia between the knots and the zeros of f - a."""
    t, f = curve.exact()
    totals = []
    for column in zip(*f, strict=True):
        g = [v - column[0] - s * (column[-1] - column[0]) for s, v in zip(t, column, strict=True)]
        areas = (_area(b - a, *ends) for (a, b), ends in zip(pairwise(t), pairwise(g), strict=True))
        totals.append(Fraction(curve.length) * sum(areas))
    return totals


def _area(width: Fraction, left: Fraction, right: Fraction) -> Fraction:
    if left * right >= 0:
        return width * (abs(left) + abs(right)) / 2
    zero = width * left / (left - right)
    return (zero * abs(left) + (width - zero) * abs(right)) / 2


@settings(deadline=None)
@given(curves())
def test_equals_the_exact_integral_within_its_rounding(some: list[Curve]) -> None:
    found = measured(AbsoluteDeviation, some)[_NAME]
    for row, curve in enumerate(some):
        for output, exact in enumerate(_exact(curve)):
            error = abs(Fraction(float(found.value[row, output])) - exact)
            assert error <= Fraction(float(found.rounding[row, output]))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0.1, 9))
@example(303, 6, 1.0)  # without the zeros as break points quadrature is off by more than it says
def test_equals_quadrature(seed: int, regions: int, length: float) -> None:
    curve = random_curve(seed, regions, 2, length=length)
    for output, found in enumerate(value(AbsoluteDeviation, _NAME, curve)[0].tolist()):
        pieces = [quad(lambda t, c=output: abs(curve.deviation(t)[c]), a, b)[0] for a, b in pairwise(curve.breaks())]
        assert found == pytest.approx(length * sum(pieces), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    ("t", "f", "expected"),
    [
        ([0, 0.5, 1], [0, 1, 0], 0.5),  # a tent: one triangle
        ([0, 0.25, 1], [1, 0, 3], 0.75),  # |x| from -1 to 3, of height 1.5 at its kink
        ([0, 0.25, 0.75, 1], [0, 1, -1, 0], 0.5),  # a whole wave: no cancelling
        ([0, 1], [2, 5], 0.0),
    ],
)
def test_known_areas(t: list[float], f: list[float], expected: float) -> None:
    curve = Curve(np.array(t, dtype=float), np.array(f, dtype=float)[:, None], length=3.0)
    assert value(AbsoluteDeviation, _NAME, curve).item() == pytest.approx(3 * expected, rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(1e200, -1e200, 5e199), (1e-200, -1e-200, 5e-201), (0.0, 0.0, 0.0), (-0.0, 3.0, 1.5), (1.0, -1e-300, 0.5)],
)
def test_neither_squares_nor_signs_of_zero_get_in_the_way(left: float, right: float, expected: float) -> None:
    found = mean_absolute_value(torch.tensor([left], dtype=torch.float64), torch.tensor([right], dtype=torch.float64))
    assert found.item() == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize("height", [0.1, 0.3, 0.7])
def test_errors_that_add_up_over_many_regions_stay_within_the_bound(height: float) -> None:
    regions = 2**14  # equal terms, whose sum drifts: far beyond 32 eps
    t = np.arange(regions + 1) / regions
    plateau = Curve(t, np.where((t > 0) & (t < 1), height, 0.0)[:, None])
    found = measured(AbsoluteDeviation, [plateau])[_NAME]
    exact = Fraction(height) * Fraction(regions - 1, regions)
    assert abs(Fraction(found.value.item()) - exact) <= Fraction(found.rounding.item()) < exact / 10**10
