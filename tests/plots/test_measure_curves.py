"""Small panels: each measure relative to its own peak, beside the test error."""

from __future__ import annotations

import pytest

from support.study_tables import lifelike, with_noise
from support.sweep_tables import DESCENT, WIDTHS, rows_of, table_of
from transect.errors import InvalidInput
from transect.plots import measure_curves


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}


def test_each_curve_is_relative_to_its_largest_value():
    found = panels(measure_curves(table_of(rows_of()), ["absolute_deviation", "density"]))
    assert list(found) == ["absolute deviation", "density"]
    for name, column in (("absolute deviation", "absolute_deviation"), ("density", "density")):
        peak, error, curve = found[name].get_lines()
        assert list(curve.get_ydata()) == pytest.approx([value / max(DESCENT[column]) for value in DESCENT[column]])
        assert list(error.get_ydata()) == pytest.approx([value / 0.6 for value in DESCENT["test_error"]])
        assert peak.get_xdata()[0] == 40
        assert found[name].get_xticks().tolist() == [WIDTHS[0], 40, WIDTHS[-1]]


def test_by_default_all_that_have_values_are_drawn():
    estimated = panels(measure_curves(table_of(lifelike(method="estimate"))))
    assert {"flips", "logit std", "parameters", "arc length"} <= set(estimated)
    assert not {"crossings", "density", "slope similarity"} & set(estimated)


def test_a_curve_of_zeros_stays_at_zero():
    (axes,) = panels(measure_curves(table_of(rows_of(flips=[0] * 5)), ["flips"])).values()
    assert list(axes.get_lines()[2].get_ydata()) == [0] * 5


def test_empty_columns_and_several_sweeps_are_refused():
    with pytest.raises(InvalidInput, match="column 'crossings', 33 of 33 have none"):
        measure_curves(table_of(lifelike(method="estimate")), ["crossings"])
    with pytest.raises(InvalidInput, match="they differ in label_noise"):
        measure_curves(with_noise())
