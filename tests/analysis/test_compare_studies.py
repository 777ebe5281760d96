"""Two studies, paired network by network."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from support.study_tables import FAULTS, MNIST_WIDTHS, lifelike, with_faults
from support.sweep_tables import DESCENT, WIDTHS, rows_of, table_of
from transect.analysis.studies import compare_studies
from transect.errors import InvalidInput, StudyError
from transect.tables.grouping import select

DEVIATION = ["absolute_deviation"]


def normed(**curves):
    return table_of(rows_of(columns={"batch_norm": True, "study": "another", "run": "another"}, **curves))


def test_ratios_and_differences_are_of_the_same_seed_in_both_studies():
    a = [[value, 2 * value, 4 * value] for value in DESCENT["absolute_deviation"]]
    b = [[3 * value, 6 * value, 24 * value] for value in DESCENT["absolute_deviation"]]
    seeds = (0, 1, 2)
    both = table_of(rows_of(seeds=seeds, absolute_deviation=a)), normed(seeds=seeds, absolute_deviation=b)
    (curve,) = compare_studies(*both, DEVIATION).curves
    assert [point.position for point in curve.points] == list(WIDTHS)
    logs = scipy.stats.ttest_1samp(np.log([3, 3, 6]), 0.0).confidence_interval()
    for point, value in zip(curve.points, DESCENT["absolute_deviation"]):
        assert (point.a, point.b) == pytest.approx((7 * value / 3, 11 * value))
        assert point.ratio.value == pytest.approx(54 ** (1 / 3))
        assert point.ratio.interval == pytest.approx(np.exp(logs))
        differences = scipy.stats.ttest_1samp(np.array([2, 4, 20]) * value, 0.0).confidence_interval()
        assert point.difference.interval == pytest.approx(differences)
    assert curve.mean_ratio.value == pytest.approx(54 ** (1 / 3))
    assert curve.mean_ratio.interval == pytest.approx(np.exp(logs))
    assert (curve.correlation.value, curve.peak_a.position, curve.peak_b.position) == (pytest.approx(1), 40, 40)


def test_what_sets_the_studies_apart_is_found():
    found = compare_studies(table_of(rows_of()), normed(), names=("plain", "normed"))
    assert found.differences == {"batch_norm": ([False], [True])}
    assert "plain: no batch norm; normed: batch norm" in found.summary()
    assert "normed against plain" in found.summary()


def test_faults_of_one_table_are_compared_with_its_right_values():
    table = with_faults()
    for fault in ("repeated_normalisation", "drop_last_region"):
        (curve,) = compare_studies(select(table, legacy=""), select(table, legacy=fault), DEVIATION).curves
        assert curve.mean_ratio.value == pytest.approx(FAULTS[fault])
        assert curve.mean_ratio.interval == pytest.approx((FAULTS[fault], FAULTS[fault]))
        assert curve.correlation.value == pytest.approx(1)
    both = compare_studies(select(table, legacy=""), select(table, legacy="upper_bound_integral"), DEVIATION)
    ratios = [point.ratio.value for point in both.curves[0].points]
    assert ratios == pytest.approx(FAULTS["upper_bound_integral"])


def test_every_sweep_both_have_is_compared_and_rows_without_a_partner_are_counted():
    a = table_of(*(rows_of(columns={"label_noise": noise}) for noise in (0.0, 0.1, 0.2)))
    parts = (rows_of(WIDTHS[:4], columns={"label_noise": noise, "batch_norm": True}, **short()) for noise in (0.1, 0.2))
    found = compare_studies(a, table_of(*parts), DEVIATION)
    assert [curve.values for curve in found.curves] == [{"label_noise": 0.1}, {"label_noise": 0.2}]
    assert found.left_out == (10 + 2 * 2, 0)
    assert "14 rows of A, 0 rows of B" in found.summary()


def short():
    return {name: values[:4] for name, values in DESCENT.items()}


def test_trained_networks_are_partners_whatever_their_last_epoch_is():
    early = table_of(rows_of(columns={"epoch": 7, "batch_norm": True}))
    assert len(compare_studies(table_of(rows_of()), early, DEVIATION).curves[0].points) == 5


def test_epochs_can_be_compared():
    a, b = (rows_of(over="epoch", columns={"last": False, "batch_norm": norm}) for norm in (False, True))
    (curve,) = compare_studies(table_of(a), table_of(b), DEVIATION, over="epoch").curves
    assert (curve.over, [point.position for point in curve.points]) == ("epoch", list(WIDTHS))


def test_columns_without_values_are_left_out_or_refused_where_asked_for():
    exact, estimate = table_of(lifelike()), table_of(lifelike(method="estimate"))
    found = compare_studies(exact, estimate)
    assert {"crossings", "density", "slope_similarity"} <= set(found.not_compared)
    assert "crossings" in found.summary().split("Not compared")[1]
    with pytest.raises(InvalidInput, match="column 'crossings', 33 of 33"):
        compare_studies(exact, estimate, ["crossings"])


def test_zeros_give_no_ratio():
    zero = normed(absolute_deviation=[0.0] * 5)
    (curve,) = compare_studies(zero, table_of(rows_of()), DEVIATION).curves
    assert curve.points[0].ratio.told() == curve.mean_ratio.told() == "not defined"
    assert "not defined" in compare_studies(zero, table_of(rows_of()), DEVIATION).summary()


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_fewer_than_three_seeds_have_no_intervals(seeds):
    found = compare_studies(table_of(rows_of(seeds=seeds)), normed(seeds=seeds), DEVIATION)
    assert found.curves[0].points[0].ratio.interval is None
    assert ("one seed" if len(seeds) == 1 else "2 seeds") in found.summary()
    assert "[" not in found.summary()
    assert "they need 3 seeds" in found.summary()


def test_the_tables_have_a_row_a_point_and_a_row_a_curve():
    found = compare_studies(table_of(rows_of()), normed(), ["density", "flips"])
    points, curves = found.table().to_pylist(), found.curves_table().to_pylist()
    assert [(row["column"], row["width"]) for row in points] == [(c, w) for c in ("density", "flips") for w in WIDTHS]
    assert points[0]["ratio"] == 1.0
    assert [(row["column"], row["peak_a"]) for row in curves] == [("density", 160), ("flips", 10)]


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (rows_of((1, 2, 3)), rows_of((4, 5, 6)), "in both studies, found none"),
        (rows_of(seeds=(0,)), rows_of(seeds=(1,)), "in both studies, found none"),
        (rows_of() + rows_of(), rows_of(), r"one row of the first study.*select"),
    ],
)
def test_studies_that_share_no_network_or_repeat_one_are_refused(a, b, said):
    with pytest.raises(StudyError, match=said):
        compare_studies(table_of(a), table_of(b), DEVIATION)


def test_widths_of_the_prototype_are_all_there():
    found = compare_studies(table_of(lifelike()), table_of(lifelike(batch_norm=True)))
    assert {len(curve.points) for curve in found.curves} == {len(MNIST_WIDTHS)}
    assert max(map(len, found.summary().splitlines())) <= 110
