"""Rank correlations and their intervals, against scipy and against every resample written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from transect.study.ranks import FEWEST_POSITIONS, rank_correlation, spearman

SIX = (1, 2, 4, 8, 16, 32)


@given(arrays(float, st.tuples(st.just(2), st.integers(2, 9)), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.0])))
def test_the_correlation_is_that_of_scipy_with_ties_too(pair):
    one, other = pair
    ours = spearman(one, other)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(scipy.stats.spearmanr(one, other).statistic)


def test_many_are_correlated_at_once():
    one, other = np.random.default_rng(0).normal(size=(2, 5, 7))
    assert spearman(one, other).tolist() == pytest.approx([float(spearman(a, b)) for a, b in zip(one, other)])


def test_the_means_over_seeds_are_what_is_correlated():
    rising = np.arange(4.0)[:, None]
    noise = np.array(
        [[5.0, -5.0], [-5.0, 5.0], [5.0, -5.0], [-5.0, 5.0]]
    )  # cancels in the mean, turns each seed's order
    assert rank_correlation(rising + noise, np.repeat(rising, 2, 1), (1, 2, 3, 4)).value == pytest.approx(1.0)


def test_the_interval_holds_the_quantiles_over_all_draws_of_seeds():
    one, other = np.random.default_rng(1).normal(size=(2, 6, 3))
    draws = [list(draw) for draw in itertools.product(range(3), repeat=3)]  # all equally likely
    exact = [scipy.stats.spearmanr(one[:, d].mean(1), other[:, d].mean(1)).statistic for d in draws]
    found = rank_correlation(one, other, SIX).interval
    # Draws are random: the ends may be those of neighbouring quantiles of the 27 exact values.
    for end, level in zip(found, (0.025, 0.975)):
        assert np.quantile(exact, max(level - 0.04, 0)) <= end <= np.quantile(exact, min(level + 0.04, 1))


def test_the_interval_of_seeds_that_agree_is_a_point_and_is_the_same_every_time():
    rising = np.repeat(np.arange(6.0)[:, None], 3, 1)
    one, other = np.random.default_rng(2).normal(size=(2, 6, 3))
    assert rank_correlation(rising, -rising, SIX).interval == pytest.approx((-1.0, -1.0))
    assert rank_correlation(one, other, SIX) == rank_correlation(one, other, SIX)


@pytest.mark.parametrize(
    ("widths", "seeds", "said"),
    [(FEWEST_POSITIONS, 2, ""), (FEWEST_POSITIONS - 1, 2, "fewer than 6 widths"), (FEWEST_POSITIONS, 1, "one seed")],
)
def test_no_interval_is_given_where_it_says_nothing(widths, seeds, said):
    rising = np.repeat(np.arange(float(widths))[:, None], seeds, 1)
    found = rank_correlation(rising, rising, tuple(range(1, widths + 1)))
    assert (found.interval is None, found.without) == (said != "", said)
    assert found.value == pytest.approx(1.0)


@pytest.mark.parametrize("curve", [np.ones((3, 2)), np.ones((1, 2))])
def test_a_constant_curve_and_a_single_width_have_no_correlation(curve):
    found = rank_correlation(curve, np.arange(float(curve.size)).reshape(curve.shape), (1, 2, 3)[: len(curve)])
    assert math.isnan(found.value)
    assert not found.is_positive
    assert str(found) == "not defined"
