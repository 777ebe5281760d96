"""Intervals over seeds and peaks, against every resample written out and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from transect.plots.peaks import descent_peak
from transect.study.statistics.bootstrap import draws, interval_of, interval_of_mean
from transect.study.statistics.peaks import Peak, peak_of


def test_draws_are_of_as_many_seeds_and_the_same_every_time():
    drawn = draws(4)
    assert drawn.shape == (2000, 4)
    assert set(drawn.ravel()) == {0, 1, 2, 3}
    assert (drawn == draws(4)).all()


def test_the_interval_of_the_mean_is_that_of_all_draws():
    curve = np.random.default_rng(0).normal(size=(3, 4))
    every = np.array([curve[:, list(d)].mean(1) for d in itertools.product(range(4), repeat=4)])  # equally likely
    found = interval_of_mean(curve)
    for place in range(3):
        for end, level in zip(found[place], (0.025, 0.975)):
            assert np.quantile(every[:, place], level - 0.015) <= end <= np.quantile(every[:, place], level + 0.015)


def test_an_interval_keeps_seeds_paired():
    a = np.array([[1.0, 10.0, 100.0]])
    assert interval_of(lambda x, y: (y / x)[:, 0], a, 3 * a) == pytest.approx((3.0, 3.0))
    assert interval_of(lambda x: np.full(len(x), np.nan), a) is None
    assert interval_of(lambda x: x[:, 0], a[:, :1]) is None
    assert np.isnan(interval_of_mean(a[:, :1])).all()


def test_a_peak_moves_with_the_seeds_that_are_drawn():
    # Two of three seeds peak at 20, the third by far at 40: the mean peaks at 40 in every draw that has the third.
    curve = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 9.0]])
    peak = peak_of(curve, (10, 20, 40))
    assert (peak.place, peak.position, peak.interval) == (2, 40, (20, 40))
    assert peak.share == pytest.approx(1 - (2 / 3) ** 3, abs=0.03)
    assert str(peak) == "40 [20, 40]"


def test_one_seed_has_a_peak_without_an_interval_and_the_rule_can_be_another():
    error = np.array([[0.6], [0.3], [0.5], [0.2]])
    assert peak_of(error, (1, 2, 4, 8)) == Peak(0, 1, None, None)
    assert peak_of(error, (1, 2, 4, 8), descent_peak) == Peak(2, 4, None, None)
    assert str(peak_of(error, (1, 2, 4, 8))) == "1"
