"""Several sweeps side by side, sweeps over epochs, and sweeps of estimates."""

from __future__ import annotations

import io

import pytest

from study_tables import MNIST_WIDTHS, lifelike, with_noise
from sweep_tables import DESCENT, rows_of, table_of
from transect.errors import InvalidInput
from transect.plots import epoch_sweep, width_sweep


def heights(axes, label):
    (line,) = [line for line in axes.get_lines() if line.get_label() == label]
    return list(line.get_xdata()), list(line.get_ydata())


def by_title(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}


def test_each_label_noise_has_a_column_on_the_same_scale():
    clean = rows_of(columns={"label_noise": 0.0}, absolute_deviation=[5.0, 8.0, 9.0, 8.0, 7.0])
    figure = width_sweep(table_of(clean, rows_of()))
    columns = by_title(figure)
    assert list(columns) == ["0 % label noise", "20 % label noise"]
    drawn = [heights(axes, "absolute deviation (left)")[1] for axes in columns.values()]
    assert drawn == [[5.0, 8.0, 9.0, 8.0, 7.0], DESCENT["absolute_deviation"]]
    assert len({axes.get_ylim() for axes in columns.values()}) == 1
    assert all(axes.get_ylim()[1] >= 100 for axes in columns.values())
    assert "label noise" not in figure.get_suptitle()


def test_no_curve_is_cut_off():
    figure = width_sweep(with_noise())
    figure.savefig(io.BytesIO(), format="png")
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert all(low <= y <= high for line in axes.get_lines()[:1] for y in line.get_ydata())


def test_epochs_are_drawn_on_a_logarithmic_axis_with_their_threshold():
    epochs = (1, 5, 20, 100, 300)
    rows = rows_of(epochs, over="epoch", **DESCENT)
    figure = epoch_sweep(table_of(rows))
    below = figure.axes[1]
    assert heights(below, "test error") == (list(epochs), DESCENT["test_error"])
    assert (below.get_xscale(), below.get_xlabel()) == ("log", "epoch")
    assert [line.get_xdata()[0] for line in below.get_lines() if list(line.get_ydata()) == [0, 1]] == [100]
    wider = [row | {"width": 64} for row in rows]
    assert list(by_title(epoch_sweep(table_of(rows, wider)))) == ["width 32", "width 64"]


def test_estimates_show_flips_and_say_so():
    figure = width_sweep(table_of(lifelike(method="estimate", seeds=1, spread=0)))
    right = figure.axes[2]
    widths, flips = heights(right, "flips per path (right)")
    assert tuple(widths) == MNIST_WIDTHS
    assert flips == pytest.approx([1.03 * count for count in (17, 53, 98, 135, 176, 203, 255, 318, 519, 862, 1737)])
    assert right.get_ylabel() == "flips per path (estimated)"
    assert "density" not in figure.get_suptitle()


def test_the_ring_is_at_the_peak_of_the_double_descent_not_at_the_smallest_network():
    figure = width_sweep(table_of(rows_of(test_error=[0.7, 0.4, 0.5, 0.45, 0.4])))
    rings = [line for line in figure.axes[1].get_lines() if line.get_fillstyle() == "none"]
    assert [tuple(ring.get_xdata()) for ring in rings] == [(40,)]


def test_random_images_and_several_counts_of_paths_are_named():
    few = rows_of(columns={"label_noise": 0.0, "paths": 24, "around": "random"})
    figure = width_sweep(table_of(few, rows_of(columns={"around": "random"})))
    assert figure.get_supxlabel().startswith("24 to 48 paths around random images;")


def test_too_many_sweeps_for_one_figure_are_refused_by_name():
    parts = [rows_of(columns={"label_noise": noise / 10}) for noise in range(5)]
    with pytest.raises(InvalidInput, match=r"4 sweeps at most.*got 5 \(0 % label noise; 10 %"):
        width_sweep(table_of(*parts))
