"""Distribution functions of kinds of paths."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from support.study_tables import path_table
from transect.errors import InvalidInput
from transect.plots import path_kinds
from transect.plots.path_kinds import steps

KINDS = {
    ("circle", "samples"): lambda random, count: random.lognormal(1.0, 0.5, count),
    ("arc", "samples"): lambda random, count: random.lognormal(0.5, 0.5, count),
    ("circle", "random"): lambda random, count: random.lognormal(2.0, 0.2, count),
}


def test_the_steps_are_those_of_scipy():
    values = np.random.default_rng(0).normal(size=20)
    x, y = steps(values)
    theirs = scipy.stats.ecdf(values).cdf
    assert x.tolist() == theirs.quantiles.tolist()
    assert y.tolist() == pytest.approx(theirs.probabilities.tolist())


def test_each_noise_has_a_panel_each_kind_a_look_and_each_seed_a_line():
    figure = path_kinds(path_table(KINDS, seeds=(0, 1), paths=30, noises=(0.0, 0.2)))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["0 % label noise", "20 % label noise"]
    for axes in figure.axes:
        assert len(axes.get_lines()) == 6
        looks = {(line.get_color(), str(line.get_linestyle())) for line in axes.get_lines()}
        assert len(looks) == 3
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["closed", "open", "random"]
    assert figure.get_supxlabel().endswith(
        "around random images and samples, traced exactly; one line for each of 2 seeds"
    )
    assert figure.axes[0].get_xscale() == "log"


def test_zeros_are_drawn_on_a_linear_axis():
    kinds = {("circle", "samples"): lambda _, count: np.arange(count, dtype=float)}
    assert path_kinds(path_table(kinds, paths=5)).axes[0].get_xscale() == "linear"


def test_missing_values_and_too_many_panels_are_refused():
    table = path_table(KINDS, paths=3)
    with pytest.raises(InvalidInput, match="column 'crossings', 9 have none"):
        path_kinds(table, "crossings")
    many = path_table(KINDS, paths=2, noises=[noise / 100 for noise in range(13)])
    with pytest.raises(InvalidInput, match=r"12 panels at most.*got 13.*label_noise"):
        path_kinds(many)
