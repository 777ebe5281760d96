"""Any column against the test error, over width and over epochs."""

from __future__ import annotations

import pytest
import scipy.stats

from study_tables import MNIST_WIDTHS, PROTOTYPE, lifelike, with_noise
from sweep_tables import DESCENT, WIDTHS, rows_of, table_of
from transect.errors import InvalidInput, StudyError
from transect.plots import select
from transect.study.statistics.following import curves_table, follow_test_error, following_table

LONG = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
PEAKED = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35]


def test_the_prototype_is_followed_by_deviation_and_not_by_crossings():
    (found,) = follow_test_error(table_of(lifelike(seeds=1, spread=0)))
    assert (found.threshold, found.test_error.peak, found.positions) == (61, 47, MNIST_WIDTHS)
    for column, follows in {"absolute_deviation": True, "crossings": False, "parameters": False}.items():
        assert found.of(column).follows is follows
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
    rows = rows_of(LONG, over="epoch", test_error=PEAKED, flips=PEAKED, train_error=[0.5] * 5 + [0.0] * 6)
    (found,) = follow_test_error(table_of(rows), ["flips", "density"], over="epoch")
    assert (found.over, found.positions, found.threshold, found.test_error.peak) == ("epoch", LONG, 6, 6)
    assert found.of("flips").follows
    assert found.of("flips").left.interval == pytest.approx((1, 1))
    (short,) = follow_test_error(
        table_of(rows_of(LONG[:7], over="epoch", test_error=PEAKED[:7], flips=PEAKED[:7])), ["flips"], "epoch"
    )
    assert short.of("flips").right.without == "fewer than 6 epochs"


def test_the_share_of_draws_in_which_peaks_are_near_is_that_of_the_seeds():
    deviation = [[9, 1, 1], [5, 5, 5], [6, 7, 7], [4, 6, 6], [2, 2, 2]]  # the mean peaks at 40 unless seed 0 prevails
    (found,) = follow_test_error(
        table_of(rows_of(seeds=(0, 1, 2), absolute_deviation=deviation)), ["absolute_deviation"]
    )
    compared = found.of("absolute_deviation")
    # n draws of seed 0 of 3: at 10 the mean is (3 + 8n)/3 + ..., at 40 (21 - n)/3: 10 wins with n = 3 alone (9 > 6),
    # or n = 2 (19 > 19 is a tie, which the first, 10, wins).
    assert compared.near_share == pytest.approx(1 - (1 / 27 + 6 / 27), abs=0.03)
    assert (compared.seeds_near, compared.near) == (2, True)


def test_the_table_has_a_row_for_each_sweep_and_column():
    found = following_table(follow_test_error(with_noise(), ["absolute_deviation", "crossings"])).to_pylist()
    assert [(row["label_noise"], row["column"]) for row in found] == [
        (0.0, "absolute_deviation"),
        (0.0, "crossings"),
        (0.2, "absolute_deviation"),
        (0.2, "crossings"),
    ]
    assert [row["follows"] for row in found] == [False, False, True, False]
    assert found[2]["left_low"] is None  # five widths up to the peak
    assert found[2]["right_low"] <= found[2]["right"] <= found[2]["right_high"]
    assert (found[2]["peak"], found[2]["error_peak"], found[2]["left_positions"]) == (47, 47, 5)


def test_means_have_their_interval_and_spread():
    values = [[v - 1, v + 1] for v in DESCENT["density"]]
    found = curves_table(table_of(rows_of(density=values)), ["density"]).to_pylist()
    density = [row for row in found if row["column"] == "density"]
    assert [row["width"] for row in density] == list(WIDTHS)
    for row, mean in zip(density, DESCENT["density"]):
        assert (row["mean"], row["mean_low"], row["mean_high"]) == pytest.approx((mean, mean - 1, mean + 1))
        assert row["spread"] == pytest.approx(2**0.5)
    assert {row["column"] for row in found} == {"train_error", "test_error", "density"}
    one = curves_table(table_of(rows_of(seeds=(0,))), ["density"]).to_pylist()
    assert {(row["mean_low"], row["spread"]) for row in one} == {(None, None)}


def test_empty_columns_and_short_sweeps_are_refused():
    with pytest.raises(InvalidInput, match=r"column 'density', 33 of 33 have none.*'flips'"):
        follow_test_error(table_of(lifelike(method="estimate")), ["density"])
    with pytest.raises(StudyError, match=r"at least 3 widths in a sweep, got \[1, 2\]"):
        follow_test_error(table_of(rows_of((1, 2))), ["density"])
