"""Total and excess variation against exact sums."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from support.piecewise import Curve, curves, ends_of, measured, runs_of
from transect.measures.variation import Variation


@settings(deadline=None)
@given(curves())
def test_equals_the_exact_sum_within_its_rounding(some: list[Curve]) -> None:
    found = measured(Variation, some)
    for row, curve in enumerate(some):
        for output, column in enumerate(zip(*curve.exact()[1], strict=True)):
            total = sum(abs(b - a) for a, b in pairwise(column))
            _assert_close(found["total_variation"], (row, output), total)
            _assert_close(found["excess_variation"], (row, output), total - abs(column[-1] - column[0]))


def _assert_close(found: object, at: tuple[int, int], exact: Fraction) -> None:
    value, room = (Fraction(float(getattr(found, part)[at])) for part in ("value", "rounding"))
    assert abs(value - exact) <= room


def test_the_absolute_value_stands_inside_the_sum() -> None:
    there_and_back = Curve(np.array([0.0, 0.5, 1.0]), np.array([[0.0, 1.0], [2.0, 3.0], [0.0, 4.0]]))
    found = measured(Variation, [there_and_back])
    assert found["total_variation"].value.tolist() == [[4.0, 3.0]]
    assert found["excess_variation"].value.tolist() == [[4.0, 0.0]]


def test_the_length_of_the_segment_does_not_matter() -> None:
    t, f = np.array([0.0, 0.5, 1.0]), np.array([[0.0], [2.0], [0.0]])
    assert measured(Variation, [Curve(t, f, 1.0), Curve(t, f, 9.0)])["total_variation"].value.tolist() == [[4.0], [4.0]]


@pytest.mark.parametrize("side", [1, -1])
def test_ends_known_apart_from_the_rows_keep_the_excess_within_its_bound(side: int) -> None:
    eps = 2.0**-30
    off = side * 15 * eps * np.array([[-1.0], [1.0]])  # rows and ends wrong in opposite directions
    rows, ends = (Curve(np.array([0.0, 1.0]), np.array([[0.0], [1.0]]) + sign * off) for sign in (1, -1))
    reducer = Variation(ends_of([ends], eps))
    for run in runs_of([rows]):
        reducer.update(run)
    excess = reducer.results()["excess_variation"]
    assert 0 <= excess.value.item() <= excess.rounding.item()  # of an affine function: zero
