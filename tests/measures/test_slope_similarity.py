"""Cosines between neighbouring slopes against a loop, and what happens where a slope is zero."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.piecewise import Curve, measured
from transect.measures.slope_similarity import SlopeSimilarity


def _curve(changes: np.ndarray, seed: int = 0) -> Curve:
    """From the change of the outputs over each region, with random widths."""
    widths = np.random.default_rng(seed).uniform(0.5, 1, len(changes))
    t = np.concatenate([[0.0], np.cumsum(widths)]) / widths.sum()
    t[-1] = 1.0
    return Curve(t, np.concatenate([np.zeros((1, changes.shape[1])), np.cumsum(changes, 0)]))


def _cosines(curve: Curve) -> tuple[list[float], list[float]]:
    """Cosine and length of every pair of neighbouring regions."""
    slopes = list(np.diff(curve.f, axis=0) / np.diff(curve.t)[:, None])
    cosines = [float(a @ b) / (math.hypot(*a) * math.hypot(*b)) for a, b in pairwise(slopes)]
    return cosines, [v - u for u, v in zip(curve.t, curve.t[2:], strict=False)]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 4))
def test_is_the_mean_cosine_plain_and_by_length(seed: int, regions: int, outputs: int) -> None:
    curve = _curve(np.random.default_rng(seed).normal(size=(regions, outputs)), seed)
    cosines, lengths = _cosines(curve)
    found = {name: one.value.item() for name, one in measured(SlopeSimilarity, [curve]).items()}
    weighted = math.fsum(c * w for c, w in zip(cosines, lengths, strict=True)) / math.fsum(lengths)
    assert found["slope_similarity"] == pytest.approx(math.fsum(cosines) / len(cosines), abs=1e-11)
    assert found["slope_similarity_weighted"] == pytest.approx(weighted, abs=1e-11)
    assert (found["slope_pairs"], found["slope_pairs_left_out"]) == (regions - 1, 0)


@pytest.mark.parametrize(
    ("changes", "similarity", "pairs", "left_out"),
    [
        ([[1, 0], [0, 1]], 0.0, 1, 0),
        ([[1, 2], [3, 6], [-1, -2]], 0.0, 2, 0),  # cosines 1 and -1
        ([[0, 0], [0, 0]], 1.0, 1, 0),
        ([[1, 0], [0, 0], [1, 0]], math.nan, 0, 2),
        ([[1, 0], [0, 0], [0, 0], [0, 1], [0, 2]], 1.0, 2, 2),
        ([[5, 5]], math.nan, 0, 0),
    ],
)
def test_zero_slopes(changes: list[list[int]], similarity: float, pairs: int, left_out: int) -> None:
    found = measured(SlopeSimilarity, [_curve(np.array(changes, dtype=float))])
    expected = {"slope_similarity": similarity, "slope_pairs": pairs, "slope_pairs_left_out": left_out}
    for name, number in expected.items():
        assert found[name].value.item() == pytest.approx(number, abs=1e-12, nan_ok=True), name


def test_lengths_weigh_each_pair_by_its_two_regions() -> None:
    curve = Curve(np.array([0.0, 0.125, 0.25, 1.0]), np.array([[0.0], [1.0], [2.0], [1.0]]))
    found = measured(SlopeSimilarity, [curve])["slope_similarity_weighted"].value.item()
    assert found == pytest.approx((0.25 * 1 - 0.875 * 1) / (0.25 + 0.875), rel=1e-14)


def test_a_change_that_is_all_rounding_counts_as_zero() -> None:
    noise = 4 * 2.0**-52
    changes = np.array([[1.0, 0.0], [noise, -noise], [-noise, noise], [0.0, 1.0]])
    found = measured(SlopeSimilarity, [_curve(changes)])
    assert (found["slope_similarity"].value.item(), found["slope_pairs"].value.item()) == (1.0, 1.0)
    assert found["slope_pairs_left_out"].value.item() == 2.0


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 4), st.sampled_from([2.0**-16, 2.0**-23]))
def test_outputs_wrong_by_the_assumed_rounding_stay_within_the_bound(
    seed: int, regions: int, outputs: int, eps: float
) -> None:
    rng = np.random.default_rng(seed)
    sizes = 10 ** rng.uniform(-1, 0, size=(regions, 1))
    changes = rng.choice([-1, 1], (regions, outputs)) * rng.uniform(0.5, 2, (regions, outputs))
    true = _curve(sizes * changes, seed)
    off = rng.choice([-1, 1], true.f.shape) * 15 * eps * np.abs(true.f).max()
    expected, found = (measured(SlopeSimilarity, [c], eps=eps) for c in (true, Curve(true.t, true.f + off)))
    for one in (expected, found):  # nothing so close to zero that a pair was left out
        assert one["slope_pairs"].value.item() == regions - 1
    for name in ("slope_similarity", "slope_similarity_weighted"):
        error = (found[name].value - expected[name].value).abs().item()
        assert error <= found[name].rounding.item()


def test_two_slopes_that_are_zero_are_alike_without_doubt() -> None:
    found = measured(SlopeSimilarity, [_curve(np.zeros((3, 2)))])
    for name in ("slope_similarity", "slope_similarity_weighted"):
        assert (found[name].value.item(), found[name].rounding.item()) == (1.0, 0.0)


def test_no_cosine_is_wrong_by_more_than_two() -> None:
    eps = 2.0**-20
    barely = 33 * eps  # just more than the 32 eps that count as zero
    found = measured(SlopeSimilarity, [_curve(np.array([[1 - 2 * barely], [barely], [barely]]))], eps=eps)
    assert found["slope_pairs"].value.item() == 2
    for name in ("slope_similarity", "slope_similarity_weighted"):
        assert 1 < found[name].rounding.item() <= 2
