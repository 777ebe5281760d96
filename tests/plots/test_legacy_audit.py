"""Faults of the released code against the right values: ratios and trends."""

from __future__ import annotations

import pytest

from support.sweep_tables import DESCENT, rows_of, table_of
from transect.errors import InvalidInput
from transect.plots import legacy_audit

RIGHT = DESCENT["absolute_deviation"]
BOUND = [2.0, 3.0, 4.0, 5.0, 8.0]


def fault(factors, legacy="upper_bound_integral", **options):
    wrong = [value * factor for value, factor in zip(RIGHT, factors)]
    return rows_of(columns={"legacy": legacy}, absolute_deviation=wrong, **options)


def test_the_ratio_of_each_fault_and_its_trend_are_drawn():
    figure = legacy_audit(table_of(rows_of(), fault(BOUND), fault([0.5] * 5, "drop_last_region")))
    above, below = figure.axes
    ratios = {line.get_label(): list(line.get_ydata()) for line in above.get_lines() if ":" in line.get_label()}
    assert ratios == {
        "drop last region: \N{MULTIPLICATION SIGN} 0.5": pytest.approx([0.5] * 5),
        "upper bound integral: \N{MULTIPLICATION SIGN} 2 to 8": pytest.approx(BOUND),
    }
    assert above.get_yscale() == "log"
    dropped, bound, right = (list(line.get_ydata()) for line in below.get_lines())
    assert dropped == pytest.approx(right)  # a constant factor changes no trend
    assert bound == pytest.approx([20 / 400, 120 / 400, 1.0, 300 / 400, 200 / 400])


def test_all_faults_at_once_have_a_name_that_fits():
    both = fault([9.0] * 5, "drop_last_region+upper_bound_integral")
    alone = [fault(BOUND), fault([0.5] * 5, "drop_last_region")]
    figure = legacy_audit(table_of(rows_of(), *alone, both))
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert "all together: \N{MULTIPLICATION SIGN} 9" in labels
    figure.draw_without_rendering()
    legend = figure.axes[0].get_legend().get_window_extent()
    assert legend.x1 <= figure.bbox.x1
    some = legacy_audit(table_of(rows_of(), alone[0], both))
    assert "drop last region + upper bound integral: \N{MULTIPLICATION SIGN} 9" in [
        line.get_label() for line in some.axes[0].get_lines()
    ]


def test_the_shade_is_the_range_over_seeds():
    wrong = [[value * 2, value * 4] for value in RIGHT]
    figure = legacy_audit(table_of(rows_of(), rows_of(columns={"legacy": "rolled_closure"}, absolute_deviation=wrong)))
    vertices = figure.axes[0].collections[0].get_paths()[0].vertices
    assert (vertices[:, 1].min(), vertices[:, 1].max()) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([rows_of()], "rows with faults, got"),
        ([fault(BOUND)], "the right values"),
        ([rows_of(), fault(BOUND, seeds=(0,))], r"seeds \(0, 1\) of the right values"),
        ([rows_of(), fault([0.0] * 5)], "positive numbers in the column 'absolute_deviation'"),
        ([rows_of(), fault(BOUND), rows_of(columns={"label_noise": 0.0})], "they differ in label_noise"),
    ],
)
def test_what_cannot_be_compared_is_refused(parts, said):
    with pytest.raises(InvalidInput, match=said):
        legacy_audit(table_of(*parts))
