"""The poster's figure: what is drawn is what the table says."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

from support.sweep_tables import DESCENT, WIDTHS, sweep
from transect.errors import InvalidInput
from transect.plots import width_sweep
from transect.plots.style import CYCLE


def lines(axes) -> dict[str, list[float]]:
    """The labelled curves of some axes: label to heights."""
    found = {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
    assert all(list(line.get_xdata()) == list(WIDTHS) for line in found.values())
    return {label: list(line.get_ydata()) for label, line in found.items()}


def panels(figure: Figure):
    above, below, right = figure.axes
    return above, right, below


def test_the_curves_are_means_over_seeds():
    deviation = [[value - 2, value + 4] for value in DESCENT["absolute_deviation"]]
    above, right, below = panels(width_sweep(sweep(absolute_deviation=deviation)))
    means = [value + 1 for value in DESCENT["absolute_deviation"]]
    assert lines(above) == {"absolute deviation (left)": pytest.approx(means)}
    assert lines(right) == {"crossings per path (right)": DESCENT["crossings"]}
    assert lines(below) == {"test error": DESCENT["test_error"], "train error": DESCENT["train_error"]}


def test_the_shade_is_one_standard_deviation_over_seeds():
    deviation = [[value - 3, value + 3] for value in DESCENT["absolute_deviation"]]
    above, _, _ = panels(width_sweep(sweep(absolute_deviation=deviation)))
    heights = above.collections[0].get_paths()[0].vertices
    at_peak = heights[heights[:, 0] == 40][:, 1]
    half = 3 * np.sqrt(2)  # sample standard deviation of -3 and 3
    assert [at_peak.min(), at_peak.max()] == pytest.approx([100 - half, 100 + half])


def test_one_seed_is_not_shaded():
    assert not any(axes.collections for axes in width_sweep(sweep(seeds=[0])).axes)


def verticals(axes) -> list[float]:
    return [
        line.get_xdata()[0]
        for line in axes.get_lines()
        if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]


def test_the_interpolation_threshold_is_drawn_in_both_panels():
    above, _, below = panels(width_sweep(sweep()))
    assert verticals(above) == verticals(below) == [80]
    above, _, below = panels(width_sweep(sweep(train_error=[0.5] * 5)))
    assert verticals(above) == verticals(below) == []


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ([0.5, 0.3, 0.1, 0.005, 0.0], [0.55, 0.5, 0.54, 0.58, 0.45]),  # at the threshold: the test error near the top
        ([0.9, 0.3, 0.1, 0.005, 0.0], [0.9, 0.3, 0.12, 0.05, 0.03]),  # both near the bottom
        ([0.9, 0.005, 0.0, 0.0, 0.0], [0.2, 0.3, 0.8, 0.4, 0.3]),  # the test error rises beyond the threshold
        ([0.9, 0.3, 0.1, 0.05, 0.0], [0.5, 0.5, 0.6, 0.5, 0.4]),  # the threshold at the right end
    ],
)
def test_the_label_of_the_threshold_covers_no_curve(train, test):
    figure = width_sweep(sweep(train_error=train, test_error=test))
    figure.savefig(io.BytesIO(), format="png")  # places everything
    below = figure.axes[1]
    (label,) = below.texts
    box = label.get_window_extent()
    for curve in below.get_lines()[:2]:
        assert not curve.get_path().transformed(curve.get_transform()).intersects_bbox(box, filled=False)
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1


def test_rings_mark_the_peaks():
    table = sweep(absolute_deviation=[1.0, 2.0, 3.0, 9.0, 4.0])
    above, _, below = panels(width_sweep(table))
    rings = [
        [tuple(line.get_xdata()) for line in axes.get_lines() if line.get_fillstyle() == "none"]
        for axes in (above, below)
    ]
    assert rings == [[(80,)], [(40,)]]


def test_the_axes_say_what_they_show():
    figure = width_sweep(sweep(), split="test")
    above, right, below = panels(figure)
    assert below.get_xscale() == "log"
    assert [tick.get_text() for tick in below.get_xticklabels()] == [str(width) for width in WIDTHS]
    assert "logits \N{MULTIPLICATION SIGN} input length" in above.get_ylabel()
    assert (right.get_ylabel(), below.get_ylabel()) == ("crossings per path", "error (%)")
    assert "units in each hidden layer" in below.get_xlabel()
    assert "20 % label noise" in figure.get_suptitle()
    assert (
        "48 closed translation paths around samples of the test split, traced exactly; mean" in figure.get_supxlabel()
    )
    assert width_sweep(sweep(), title="Ours").get_suptitle() == "Ours"


def test_legends_lie_above_their_panels_and_labels_do_not_overlap():
    widths = (1, 2, 3, 4, 5, 6, 8, 16, 63, 64)
    figure = width_sweep(sweep(widths, train_error=[0.5] * 10))
    figure.savefig(io.BytesIO(), format="png")  # places everything
    above, _, below = panels(figure)
    for axes in (above, below):
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1 - 1
    boxes = [tick.get_window_extent() for tick in below.get_xticklabels() if tick.get_text()]
    assert all(one.x1 < next_one.x0 for one, next_one in itertools.pairwise(boxes))
    assert below.get_xticks().tolist() == list(widths)


def test_curves_of_one_panel_differ_in_more_than_colour():
    above, right, below = panels(width_sweep(sweep()))
    for pair in ([above.get_lines()[0], right.get_lines()[0]], below.get_lines()[:2]):
        assert len({line.get_linestyle() for line in pair}) == 2
        assert len({line.get_marker() for line in pair}) == 2
    assert len(set(CYCLE)) == len(CYCLE)


def test_a_sweep_of_one_width_can_be_drawn():
    figure = width_sweep(sweep((7,), crossings=[3.0]))
    figure.savefig(io.BytesIO(), format="png")
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["7"]


def test_a_table_without_the_columns_is_refused():
    with pytest.raises(InvalidInput, match="crossings"):
        width_sweep(sweep().drop_columns(["crossings", "flips"]))
