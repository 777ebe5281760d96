"""Any column against the test error, over width and over epochs."""

from __future__ import annotations

import math

import pytest
import scipy.stats

from support.study_tables import MNIST_WIDTHS, PROTOTYPE, lifelike, with_noise
from support.sweep_tables import DESCENT, WIDTHS, rows_of, table_of
from transect.analysis.confidence import Verdict
from transect.analysis.following import curves_table, follow_test_error, following_table
from transect.errors import InvalidInput, StudyError
from transect.tables.grouping import select

LONG = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
PEAKED = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35]


def test_the_prototype_is_followed_by_deviation_and_not_by_crossings():
    (found,) = follow_test_error(table_of(lifelike(seeds=1, spread=0)))
    assert (found.threshold, found.test_error.peak.position, found.positions) == (61, 47, MNIST_WIDTHS)
    for column, follows in {"absolute_deviation": True, "crossings": False, "parameters": False}.items():
        assert found.of(column).follows is (Verdict.SEEN if follows else Verdict.NOT_SEEN)  # one seed
    error, deviation = PROTOTYPE["test_error"], PROTOTYPE["absolute_deviation"]
    compared = found.of("absolute_deviation")
    assert compared.left.value == pytest.approx(scipy.stats.spearmanr(deviation[:5], error[:5]).statistic)
    assert compared.right.value == pytest.approx(scipy.stats.spearmanr(deviation[4:], error[4:]).statistic)
    assert compared.whole.value == pytest.approx(scipy.stats.spearmanr(deviation, error).statistic)


def test_by_default_every_measure_and_baseline_with_values_is_compared():
    columns = {
        method: {each.column for each in follow_test_error(table_of(lifelike(method=method)))[0].comparisons}
        for method in ("exact", "estimate")
    }
    assert columns["exact"] - columns["estimate"] == {"crossings", "density", "slope_similarity"}
    assert {"absolute_deviation", "flips", "parameters", "train_loss", "logit_std", "weight_norm"} < columns["estimate"]


def test_each_sweep_is_judged_by_itself_and_named():
    clean, noisy = follow_test_error(with_noise(), ["absolute_deviation"])
    assert (clean.label, noisy.label) == ("0 % label noise", "20 % label noise")
    assert (clean.has_inner_peak, noisy.has_inner_peak) == (False, True)
    (alone,) = follow_test_error(select(with_noise(), label_noise=0.2), ["absolute_deviation"])
    assert alone.comparisons == noisy.comparisons


def test_epochs_are_positions_like_widths():
    seeds = (0, 1, 2)
    rows = rows_of(LONG, seeds, over="epoch", test_error=PEAKED, flips=PEAKED, train_error=[0.5] * 5 + [0.0] * 6)
    (found,) = follow_test_error(table_of(rows), ["flips", "density"], over="epoch")
    assert (found.over, found.positions, found.threshold, found.test_error.peak.position) == ("epoch", LONG, 6, 6)
    assert found.of("flips").follows is Verdict.HOLDS
    assert found.of("flips").left.interval == pytest.approx((1 - 2 / 35, 1))
    (short,) = follow_test_error(
        table_of(rows_of(LONG[:7], seeds, over="epoch", test_error=PEAKED[:7], flips=PEAKED[:7])), ["flips"], "epoch"
    )
    assert short.of("flips").right.without == "fewer than 5 positions"
    assert short.of("flips").follows is Verdict.SEEN


@pytest.mark.parametrize(
    ("deviation", "peak", "near"),
    [([1, 9, 8, 4, 2], 20, True), ([1, 2, 8, 9, 2], 80, True), ([9, 5, 8, 4, 2], 10, False), (WIDTHS, 160, False)],
)
def test_neighbouring_peaks_are_near_and_others_are_not(deviation, peak, near):
    (found,) = follow_test_error(table_of(rows_of(absolute_deviation=deviation)), ["absolute_deviation"])
    compared = found.of("absolute_deviation")
    assert (compared.curve.peak.position, compared.near) == (peak, Verdict.SEEN if near else Verdict.NOT_SEEN)


def test_near_peaks_do_not_follow_when_one_side_goes_the_other_way():
    error = [0.1, 0.2, 0.6, 0.4, 0.3]
    for deviation, left, right in (([9.0, 8, 10, 6, 2], 0.5, 1.0), ([9.5, 8, 9, 10, 11], -0.5, -1.0)):
        table = table_of(rows_of(absolute_deviation=deviation, test_error=error))
        compared = follow_test_error(table, ["absolute_deviation"])[0].of("absolute_deviation")
        assert (compared.left.value, compared.right.value) == (pytest.approx(left), pytest.approx(right))
        assert compared.follows is (Verdict.SEEN if left > 0 else Verdict.NOT_SEEN)


def test_zeros_have_no_fall_and_no_growth():
    table = table_of(rows_of(absolute_deviation=[0.0] * 5, density=[0.0, 1, 2, 3, 4]))
    (found,) = follow_test_error(table, ["absolute_deviation", "density"])
    assert math.isnan(found.of("absolute_deviation").curve.fall)
    assert math.isnan(found.of("density").curve.growth)
    assert found.of("absolute_deviation").follows is Verdict.NOT_SEEN


def test_the_table_has_a_row_for_each_sweep_and_column():
    found = following_table(follow_test_error(with_noise(), ["absolute_deviation", "crossings"])).to_pylist()
    assert [(row["label_noise"], row["column"]) for row in found] == [
        (0.0, "absolute_deviation"),
        (0.0, "crossings"),
        (0.2, "absolute_deviation"),
        (0.2, "crossings"),
    ]
    assert [row["follows"] for row in found] == ["does not hold", "does not hold", "seen", "does not hold"]
    for name in ("left", "right", "whole", "peaks_apart", "peak_fitted", "error_peak_fitted"):
        assert found[2][f"{name}_low"] <= found[2][name] <= found[2][f"{name}_high"]
    assert (found[2]["peak"], found[2]["error_peak"], found[2]["near"]) == (47, 47, "seen")


def test_means_have_their_interval_and_spread():
    values = [[v - 1, v, v + 1] for v in DESCENT["density"]]
    found = curves_table(table_of(rows_of(seeds=(0, 1, 2), density=values)), ["density"]).to_pylist()
    density = [row for row in found if row["column"] == "density"]
    assert [row["width"] for row in density] == list(WIDTHS)
    half = 4.302652729911275 / 3**0.5  # t(0.975, 2 degrees of freedom), standard deviation 1
    for row, mean in zip(density, DESCENT["density"]):
        assert (row["mean"], row["mean_low"], row["mean_high"]) == pytest.approx((mean, mean - half, mean + half))
        assert row["spread"] == pytest.approx(1.0)
    assert {row["column"] for row in found} == {"train_error", "test_error", "density"}
    two, one = (curves_table(table_of(rows_of(seeds=s)), ["density"]).to_pylist() for s in ((0, 1), (0,)))
    assert {(row["mean_low"], row["spread"]) for row in two} == {(None, 0.0)}
    assert {(row["mean_low"], row["spread"]) for row in one} == {(None, None)}


def test_empty_columns_and_short_sweeps_are_refused():
    with pytest.raises(InvalidInput, match=r"column 'density', 33 of 33 have none.*'flips'"):
        follow_test_error(table_of(lifelike(method="estimate")), ["density"])
    with pytest.raises(StudyError, match=r"at least 3 widths in a sweep, got \[1, 2\]"):
        follow_test_error(table_of(rows_of((1, 2))), ["density"])
