"""Rank correlations over seeds, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from transect.analysis.comparison import rank_correlation, spearman


@given(arrays(float, st.tuples(st.just(2), st.integers(2, 9)), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.0])))
def test_the_correlation_is_that_of_scipy_with_ties_too(pair):
    one, other = pair
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert math.isnan(spearman(one, other))
    else:
        assert spearman(one, other) == pytest.approx(scipy.stats.spearmanr(one, other).statistic)


def test_each_seed_is_correlated_and_their_mean_has_students_interval():
    one, other = np.random.default_rng(1).normal(size=(2, 6, 4))
    each = [scipy.stats.spearmanr(one[:, k], other[:, k]).statistic for k in range(4)]
    found = rank_correlation(one, other)
    low, high = scipy.stats.ttest_1samp(each, 0.0).confidence_interval()
    assert found.value == pytest.approx(np.mean(each))
    assert found.interval == pytest.approx((max(low, -1), min(high, 1)))


def test_seeds_that_agree_are_as_sure_as_one_step_of_the_ranks():
    rising = np.repeat(np.arange(5.0)[:, None], 3, 1)
    assert rank_correlation(rising, -rising).interval == pytest.approx((-1.0, -0.9))  # the next value five ranks have
    swapped = rising[[0, 1, 2, 4, 3]]
    assert rank_correlation(rising, swapped).interval == pytest.approx((0.8, 1.0))


@pytest.mark.parametrize(
    ("widths", "seeds", "said"), [(5, 3, ""), (4, 3, "fewer than 5 pos"), (5, 2, "fewer than 3 seeds")]
)
def test_no_interval_is_given_where_it_says_nothing(widths, seeds, said):
    rising = np.repeat(np.arange(float(widths))[:, None], seeds, 1)
    found = rank_correlation(rising, rising)
    assert found.value == 1.0
    assert (found.interval is None) == bool(said)
    assert found.without.startswith(said)


@pytest.mark.parametrize("curve", [np.ones((5, 3)), np.ones((1, 3))])
def test_a_constant_curve_and_a_single_width_have_no_correlation(curve):
    other = np.arange(float(curve.size)).reshape(curve.shape)
    assert math.isnan(rank_correlation(curve, other).value)
    other[:, 0] = 1.0  # of one seed is enough
    assert math.isnan(rank_correlation(other, np.arange(float(curve.size)).reshape(curve.shape)).value)
