"""Which knots bend the function, and which only look as if rounding bent it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.piecewise import Curve, ends_of, measured, random_curve, runs_of
from transect.measures.crossings import CrossingCount
from transect.measures.linear_crossings import LinearCrossings

_EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}


def _counts(curve: Curve, eps: float = _EPS[torch.float64]) -> tuple[int, int]:
    found = measured(LinearCrossings, [curve], eps=eps)
    return int(found["linear_crossings"].value), int(found["undecided_crossings"].value)


def _kinked(jump: float, height: float = 1.0, at: float = 0.5) -> Curve:
    """Constant ``height`` until ``at``, then rising with slope ``jump``; a second output is constant."""
    t = np.array([0.0, at, 1.0])
    return Curve(t, np.stack([height + jump * np.maximum(t - at, 0), np.full(3, height)], 1))


@pytest.mark.parametrize("at", [0.5, 0.125, 0.9375])
@pytest.mark.parametrize("height", [1.0, 2.0**40])
@pytest.mark.parametrize(("relative", "expected"), [(1.5, (1, 0)), (0.75, (0, 1)), (0.0, (0, 0))])
def test_the_threshold_is_the_documented_one(at: float, height: float, relative: float, expected: object) -> None:
    eps = 2.0**-30
    threshold = 16 * eps * height * (1 / at + 1 / (1 - at))
    assert _counts(_kinked(relative * threshold, height, at), eps) == expected


def test_one_output_that_bends_is_enough_and_the_largest_sets_the_scale() -> None:
    t = np.array([0.0, 0.5, 1.0])
    bends, rests = np.array([0.0, 1.0, 0.0]), np.zeros(3)
    assert _counts(Curve(t, np.stack([rests, bends], 1))) == (1, 0)
    assert _counts(Curve(t, np.stack([rests + 1e15, bends], 1))) == (0, 1)


def test_the_scale_of_the_ends_counts_wherever_the_knot_is() -> None:
    eps = 2.0**-30
    t = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    bend = 16 * eps * np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    assert _counts(Curve(t, bend[:, None]), eps) == (3, 0)
    far = np.array([0.0, 0.0, 0.0, 0.0, 2.0])  # bends at the last knot, and makes the others doubtful
    assert _counts(Curve(t, (bend + far)[:, None]), eps) == (1, 2)


def test_the_undecided_are_the_doubt_about_the_linear() -> None:
    t = np.array([0.0, 0.25, 0.5, 1.0])
    bent = np.array([0.0, 1.0, 0.0, 0.0]) + np.array([0.0, 0.0, 2.0**-50, 0.0])  # the second knot is bent as well
    nearly = np.array([1.0, 1.0 + 2.0**-50, 1.0, 1.0])
    found = measured(LinearCrossings, [Curve(t, f[:, None]) for f in (bent, nearly)])
    assert found["linear_crossings"].value.tolist() == [2.0, 0.0]
    assert found["linear_crossings"].rounding.tolist() == found["undecided_crossings"].value.tolist() == [0.0, 2.0]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_large_neighbour_on_either_side_sets_the_scale(backwards: bool) -> None:
    eps, height = 2.0**-30, 1024.0
    t = np.array([0.0, 0.25, 0.5, 0.5625, 1.0])
    large = height * np.array([0.0, -1.0, 0.0, 0.25, 0.0])  # straight through zero at the middle knot
    small = 0.5 * 16 * eps * height * (1 / 0.25 + 1 / 0.0625) * np.maximum(t - 0.5, 0)  # bends there by half as much
    curve = Curve(t, np.stack([large, small], 1))
    assert _counts(curve.reversed() if backwards else curve, eps) == (2, 1)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 3), st.sampled_from([torch.float32, torch.float64]))
def test_rounded_affine_functions_have_no_linear_crossing(
    seed: int, regions: int, outputs: int, dtype: torch.dtype
) -> None:
    affine = random_curve(seed, regions, outputs, kinks=0.0)
    close = np.sort(np.concatenate([affine.t, affine.t[1:-1] + 1e-12]))
    curve = Curve(close, np.stack([affine.at(t) for t in close]))
    reducer = LinearCrossings(ends_of([curve], _EPS[dtype]))
    for run in runs_of([curve], dtype=dtype):
        reducer.update(run)
    assert reducer.results()["linear_crossings"].value.tolist() == [0.0]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 3))
def test_every_knot_of_a_zigzag_is_linear(seed: int, regions: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, regions + 1)
    zigzag = np.arange(regions + 1)[:, None] % 2 * rng.uniform(1, 2, outputs)
    assert _counts(Curve(t, zigzag)) == (regions - 1, 0)


def test_crossings_count_interior_knots_of_each_segment() -> None:
    some = [random_curve(0, regions, 2) for regions in (1, 2, 7)]
    found = measured(CrossingCount, some, cuts=[3, 5])["crossings"]
    assert found.value.tolist() == [0.0, 1.0, 6.0]
    assert found.rounding.tolist() == [0.0, 0.0, 0.0]


def test_a_steep_line_cut_at_rounded_positions_has_no_linear_crossing() -> None:
    """Positions are rounded too: on short regions that changes a large slope."""
    rng = np.random.default_rng(0)
    t = np.unique(np.concatenate([[0.0, 1.0], 0.75 + rng.integers(1, 2**20, 200) * 2.0**-50]))
    rounded = np.nextafter(t, rng.choice([0.0, 1.0], len(t)))
    rounded[[0, -1]] = [0.0, 1.0]
    f = 1e6 * (t - 0.75)[:, None]  # small near the cuts, where it is known better than its slope
    assert _counts(Curve(rounded, f))[0] == 0
