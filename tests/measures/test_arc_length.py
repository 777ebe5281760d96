"""Arc length against sums of distances."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from support.piecewise import Curve, curves, measured
from transect.measures.arc_length import ArcLength


@settings(deadline=None)
@given(curves())
def test_adds_the_distances_between_the_outputs_at_neighbouring_knots(some: list[Curve]) -> None:
    found = measured(ArcLength, some)["arc_length"].value.tolist()
    assert found == pytest.approx(
        [math.fsum(math.dist(a, b) for a, b in pairwise(curve.f)) for curve in some], rel=1e-13
    )


def test_two_sides_of_a_rectangle() -> None:
    corner = Curve(np.array([0.0, 0.1, 1.0]), np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]), length=5.0)
    assert measured(ArcLength, [corner])["arc_length"].value.tolist() == [7.0]
