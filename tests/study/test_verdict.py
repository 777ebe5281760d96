"""The verdict: peaks, sides and expectations, on curves whose answer is known."""

from __future__ import annotations

import math

import pytest

from sweep_tables import DESCENT, sweep
from transect.errors import InvalidInput, StudyError
from transect.storage.tables import write_table
from transect.study.verdict import judge

LONG = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)


def expectation(verdict, word):
    (found,) = [each for each in verdict.expectations if word in each.claim]
    return found


def test_a_double_descent_meets_every_expectation():
    verdict = judge(sweep())
    assert (verdict.threshold, verdict.test_error.peak, verdict.deviation.curve.peak) == (80, 40, 40)
    assert (verdict.test_error.peak_value, verdict.deviation.curve.peak_value) == (0.6, 100.0)
    assert verdict.deviation.curve.fall == pytest.approx(0.75)
    assert verdict.test_error.fall == pytest.approx(1 / 3)
    assert verdict.density.curve.growth == pytest.approx(10)
    assert [c.follows for c in (verdict.deviation, verdict.normalised, verdict.density)] == [True, True, False]
    assert verdict.holds
    assert verdict.summary().startswith("Verdict: all 5 expectations hold")
    assert "[NO]" not in verdict.summary()


def test_the_peak_belongs_to_both_sides():
    deviation = judge(sweep()).deviation
    assert (deviation.left.positions, deviation.right.positions) == ((10, 20, 40), (40, 80, 160))
    assert (deviation.left.value, deviation.right.value) == (pytest.approx(1), pytest.approx(1))


def test_density_that_rises_while_the_error_falls_has_correlation_minus_one_there_and_it_is_explained():
    verdict = judge(sweep())
    assert (verdict.density.left.value, verdict.density.right.value) == (pytest.approx(1), pytest.approx(-1))
    assert "go opposite ways" in verdict.summary()
    assert "go opposite ways" not in judge(sweep(density=DESCENT["test_error"])).summary()


@pytest.mark.parametrize(
    ("deviation", "peak", "near"),
    [
        ([1, 9, 8, 4, 2], 20, True),
        ([1, 2, 8, 9, 2], 80, True),
        ([9, 5, 8, 4, 2], 10, False),
        ([1, 2, 3, 4, 5], 160, False),
    ],
)
def test_neighbouring_peaks_are_near_and_others_are_not(deviation, peak, near):
    verdict = judge(sweep(absolute_deviation=deviation))
    assert (verdict.deviation.curve.peak, verdict.deviation.near) == (peak, near)
    assert expectation(verdict, "neighbouring").holds is near


def test_near_peaks_do_not_follow_when_one_side_goes_the_other_way():
    verdict = judge(sweep(absolute_deviation=[9.0, 8.0, 10.0, 6.0, 2.0], test_error=[0.1, 0.2, 0.6, 0.4, 0.3]))
    assert verdict.deviation.near
    assert verdict.deviation.left.value == pytest.approx(0.5)
    verdict = judge(sweep(absolute_deviation=[9.5, 8.0, 9.0, 10.0, 11.0], test_error=[0.1, 0.2, 0.6, 0.4, 0.3]))
    assert verdict.deviation.right.value == pytest.approx(-1.0)
    assert not verdict.deviation.follows
    assert not expectation(verdict, "rank correlation").holds


def test_what_does_not_hold_is_said():
    verdict = judge(sweep(absolute_deviation=[1, 2, 3, 4, 5], density=[1, 2, 3, 2, 3.9]))
    assert [each.holds for each in verdict.expectations] == [False, False, False, False, False]
    assert not verdict.holds
    assert "5 of 5 expectations do NOT hold" in verdict.summary()
    assert verdict.summary().count("[NO]") == 5


@pytest.mark.parametrize(("last", "holds"), [(100 * 2 / 3 - 0.01, True), (100 * 2 / 3 + 0.01, False)])
def test_deviation_must_fall_by_a_third(last, holds):
    verdict = judge(sweep(absolute_deviation=[10.0, 40.0, 100.0, 80.0, last]))
    assert expectation(verdict, "third").holds is holds


@pytest.mark.parametrize(("last", "holds"), [(12.0, True), (11.9, False)])
def test_density_must_grow_fourfold(last, holds):
    verdict = judge(sweep(density=[3.0, 5.0, 7.0, 9.0, last]))
    assert expectation(verdict, "fourfold").holds is holds


def test_a_test_error_that_only_falls_has_no_left_side_and_is_not_followed():
    falling = [0.6, 0.5, 0.4, 0.3, 0.2]
    verdict = judge(sweep(test_error=falling, absolute_deviation=[50, 40, 30, 20, 10]))
    assert verdict.deviation.left.positions == (10,)
    assert math.isnan(verdict.deviation.left.value)
    assert not verdict.deviation.follows
    assert "not defined" in verdict.summary()


def test_peaks_are_those_of_the_mean_and_each_seed_is_counted_too():
    deviation = [[100, 1, 1], [5, 5, 5], [6, 90, 90], [4, 6, 6], [2, 2, 2]]  # one seed alone peaks far away
    verdict = judge(sweep(seeds=(0, 1, 2), absolute_deviation=deviation))
    assert (verdict.deviation.curve.peak, verdict.deviation.seeds_near) == (40, 2)
    assert "so do 2 of 3 seeds" in expectation(verdict, "neighbouring").found


def test_intervals_are_given_with_six_widths_on_a_side_only():
    error = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35]
    common = {"train_error": [0.5] * 11, "density": LONG}
    verdict = judge(sweep(LONG, absolute_deviation=error, test_error=error, normalised_deviation=error, **common))
    assert verdict.deviation.left.interval == pytest.approx((1, 1))
    assert verdict.density.right.interval == pytest.approx((-1, -1))
    assert "No interval" not in verdict.summary()
    assert "95 % interval, 2 seeds resampled; so few say little" in verdict.summary()
    verdict = judge(sweep(LONG[:-1], absolute_deviation=error[:-1], test_error=error[:-1], train_error=[0.5] * 10))
    assert (verdict.deviation.left.interval is None, verdict.deviation.right.interval is None) == (False, True)
    assert "No interval from the peak on: fewer than 6 widths (5 widths there)" in verdict.summary()
    assert "No interval up to the peak" not in verdict.summary()
    assert "not reached in this sweep" in verdict.summary()


def test_the_split_asked_for_is_judged_and_a_path_is_read(tmp_path):
    verdict = judge(write_table(sweep(), tmp_path / "table.parquet"), "test")
    assert verdict.split == "test"
    assert "paths around test samples" in verdict.summary()
    assert verdict == judge(sweep(), "test")


def test_zeros_meet_no_expectation():
    verdict = judge(sweep(absolute_deviation=[0.0] * 5, density=[0.0, 1, 2, 3, 4]))
    assert math.isnan(verdict.deviation.curve.fall)
    assert math.isnan(verdict.density.curve.growth)
    assert not expectation(verdict, "third").holds
    assert not expectation(verdict, "fourfold").holds


@pytest.mark.parametrize("one_seed", [True, False])
def test_the_summary_fits_a_narrow_terminal(one_seed):
    text = judge(sweep(seeds=[0] if one_seed else [0, 1])).summary()
    assert max(map(len, text.splitlines())) <= 79
    assert ("taken alone" in text) is not one_seed


def test_two_widths_are_no_sweep_and_an_unknown_split_is_refused():
    with pytest.raises(StudyError, match=r"three widths.*\[1, 2\]"):
        judge(sweep((1, 2)))
    with pytest.raises(InvalidInput, match="'validation'"):
        judge(sweep(), "validation")
