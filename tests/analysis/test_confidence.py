"""Intervals and what may be said of them, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from transect.analysis.confidence import FEWEST_SEEDS, MeanWithInterval, Verdict, all_of, mean_of

FAILS, NOT_SEEN, OPEN, SEEN, HOLDS = Verdict


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_the_interval_is_that_of_scipy(confidence):
    values = np.random.default_rng(0).normal(size=7)
    found = mean_of(values, confidence=confidence)
    assert found.value == pytest.approx(values.mean())
    assert found.interval == pytest.approx(scipy.stats.ttest_1samp(values, 0.0).confidence_interval(confidence))


def test_two_seeds_and_few_positions_have_a_value_and_no_interval():
    assert mean_of([1.0, 3.0]) == MeanWithInterval(2.0, None, "fewer than 3 seeds")
    assert mean_of([1.0, 3.0, 2.0], positions=4) == MeanWithInterval(2.0, None, "fewer than 5 positions")
    assert mean_of([1.0] * 4, "path", 5).without == "fewer than 5 paths"
    assert mean_of([1.0] * FEWEST_SEEDS).interval == (1.0, 1.0)


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.nan, 2.0, 3.0]])
def test_what_is_not_defined_for_every_unit_is_not_defined(values):
    found = mean_of(values)
    assert math.isnan(found.value)
    assert (found.interval, found.told(), found.above(0.0)) == (None, "not defined", OPEN)
    assert math.isnan(found.exp().value)


def test_an_interval_can_be_given_room():
    assert mean_of([1.0] * 3, margin=0.25).interval == (0.75, 1.25)
    assert mean_of([1.0] * 3, least=0.5, margin=0.25).interval == (0.25, 1.75)
    wide = mean_of([0.0, 1.0, 5.0])
    assert mean_of([0.0, 1.0, 5.0], least=1e-3) == wide


@pytest.mark.parametrize(
    ("value", "interval", "outcome"),
    [
        (0.5, (0.1, 0.9), HOLDS),
        (0.5, (0.0, 1.0), SEEN),  # the end itself is no larger than zero
        (0.5, (-0.1, 1.1), SEEN),
        (0.5, None, SEEN),
        (-0.5, None, NOT_SEEN),
        (-0.5, (-1.1, 0.1), NOT_SEEN),
        (-0.5, (-0.9, -0.1), FAILS),
        (math.nan, None, OPEN),
    ],
)
def test_nothing_holds_that_an_interval_does_not_make_sure(value, interval, outcome):
    assert MeanWithInterval(value, interval).above(0.0) is outcome
    turned = None if interval is None else (-interval[1], -interval[0])
    assert MeanWithInterval(-value, turned).below(0.0) is outcome
    assert outcome.negated.negated is outcome


def test_a_range_is_judged_at_both_ends():
    judged = [MeanWithInterval(v, (v - 0.2, v + 0.2)).between(-1.0, 1.0) for v in (0.0, 0.9, 1.1, 1.3, -1.3)]
    assert judged == [HOLDS, SEEN, NOT_SEEN, FAILS, FAILS]


def test_statements_together_are_no_better_than_the_worst():
    assert all_of([HOLDS, SEEN]) is SEEN
    assert all_of([HOLDS, OPEN]) is OPEN
    assert all_of([SEEN, FAILS, OPEN]) is FAILS
    assert all_of([]) is OPEN
    assert [each.negated for each in Verdict] == [HOLDS, SEEN, OPEN, NOT_SEEN, FAILS]
    assert [each.words for each in Verdict] == ["does not hold", "not seen", "cannot be told", "seen", "holds"]


def test_logarithms_give_geometric_means():
    values = np.array([1.0, 2.0, 8.0])
    found, logs = mean_of(np.log(values)).exp(), mean_of(np.log(values))
    assert found.value == pytest.approx(scipy.stats.gmean(values))
    assert found.interval == pytest.approx(np.exp(logs.interval))
    assert found.told("{:.1f}").startswith("2.5 [")
