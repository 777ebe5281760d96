"""Sweeps over any setting, several as lines of one figure, and sweeps of estimates."""

from __future__ import annotations

import io

import pytest

from support.study_tables import MNIST_WIDTHS, lifelike, with_noise
from support.sweep_tables import DESCENT, WIDTHS, rows_of, table_of
from transect.errors import InvalidInput
from transect.plots import epoch_sweep, networks_figure, sweep_figure, width_sweep
from transect.study.columns import RUN_SCHEMA
from transect.tables.files import make_table, with_settings


def heights(axes, label):
    (line,) = [line for line in axes.get_lines() if line.get_label() == label]
    return list(line.get_xdata()), list(line.get_ydata())


def legend(figure):
    """The lines of a figure of several sweeps: label to the heights of each panel."""
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    return {label: [heights(axes, label) for axes in figure.axes] for label in labels}


def test_each_label_noise_is_a_line_with_a_legend():
    clean = rows_of(columns={"label_noise": 0.0}, absolute_deviation=[5.0, 8.0, 9.0, 8.0, 7.0])
    figure = width_sweep(table_of(clean, rows_of()))
    drawn = legend(figure)
    assert list(drawn) == ["0 % label noise", "20 % label noise"]
    deviation, crossings, errors = drawn["20 % label noise"]
    assert deviation == (list(WIDTHS), DESCENT["absolute_deviation"])
    assert (crossings[1], errors[1]) == (DESCENT["crossings"], DESCENT["test_error"])
    assert drawn["0 % label noise"][0][1] == [5.0, 8.0, 9.0, 8.0, 7.0]
    assert "label noise" not in figure.get_suptitle()
    dotted = [list(line.get_ydata()) for line in figure.axes[2].get_lines() if line.get_linestyle() == ":"]
    assert dotted == [DESCENT["train_error"]] * 2


@pytest.mark.parametrize(
    ("over", "values", "scale"),
    [
        ("train.learning_rate", (0.01, 0.03, 0.1), "log"),
        ("data.train_samples", (100, 200, 400), "log"),
        ("model.arguments.depth", (1, 2, 3), "log"),
        ("paths.radius", (0.5, 1.0, 2.0), "log"),
        ("label_noise", (0.0, 0.1, 0.2), "linear"),
    ],
)
def test_any_setting_of_numbers_can_be_the_axis(over, values, scale):
    rows = [row | {"width": 32, over: value} for value in values for row in rows_of((7,), test_error=[value])]
    figure = sweep_figure(settings_table(rows), over)
    below = figure.axes[1]
    assert heights(below, "test error") == (list(values), pytest.approx(values))
    assert below.get_xscale() == scale
    assert over.rpartition(".")[2].replace("_", " ") in below.get_xlabel()


def test_other_settings_are_lines_and_what_changes_along_is_none():
    rows = [
        row | {"model": model, "width": width, "train.learning_rate": 1 / width, "model.arguments.depth": depth}
        for model in ("mlp", "cnn5")
        for depth in (1, 2)
        for width in (8, 16, 32)
        for row in rows_of((width,))
    ]
    figure = sweep_figure(settings_table(rows), "width")
    assert list(legend(figure)) == ["cnn5, depth 1", "cnn5, depth 2", "mlp, depth 1", "mlp, depth 2"]
    looks = {
        (line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines() if line.get_label()[0] != "_"
    }
    assert len(looks) == 4
    assert "learning rate changes along" in figure.get_supxlabel()


def settings_table(rows):
    return make_table(rows, with_settings(RUN_SCHEMA, rows))


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
    assert list(legend(epoch_sweep(table_of(rows, wider)))) == ["width 32", "width 64"]


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
    assert figure.get_supxlabel().startswith("24 to 48 closed translation paths around random images, traced exactly;")


def test_too_many_sweeps_for_one_figure_are_refused_by_name():
    parts = [rows_of(columns={"label_noise": noise / 100}) for noise in range(25)]
    with pytest.raises(InvalidInput, match=r"24 sweeps at most.*got 25 \(0 % label noise; 1 %"):
        width_sweep(table_of(*parts))


def test_networks_without_a_sweep_are_points():
    rows = [row | {"model": model} for model in ("mlp", "cnn5") for row in rows_of((7,), test_error=[[0.3, 0.5]])]
    deviation, _, errors = networks_figure(table_of(rows)).axes
    assert [label.get_text() for label in deviation.get_yticklabels()] == ["cnn5", "mlp"]
    (mean,) = [line for line in errors.get_lines() if line.get_label() == "test error"]
    assert mean.get_xdata() == pytest.approx([0.4])
    assert [axes.get_xlim()[0] for axes in (deviation, errors)] == [0, 0]
    (one,) = networks_figure(table_of(rows_of((7,)))).axes[0].get_yticklabels()
    assert one.get_text() == "mlp"
