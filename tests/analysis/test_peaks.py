"""Where curves peak and how far apart, on curves whose peak is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from transect.analysis.confidence import Verdict
from transect.analysis.peaks import END, peak_of, peaks_apart, vertices

WIDTHS = (4, 8, 12, 24, 48, 64, 128)  # unevenly spaced


def parabola(at, seeds=3, widths=WIDTHS):
    """Parabolas on the axis of the logarithm, one a seed, each with its own height."""
    return np.stack([5.0 + k - (np.log(widths) - math.log(at)) ** 2 for k in range(seeds)], 1)


def mixed(places):
    return np.concatenate([parabola(at, 1) for at in places], 1)


@pytest.mark.parametrize("at", [9.0, 12.0, 16.5, 40.0, 60.0])
def test_the_vertex_of_a_parabola_is_found_exactly(at):
    peak = peak_of(parabola(at), WIDTHS, "absolute_deviation")
    assert peak.fitted.value == pytest.approx(at)
    around = sorted(WIDTHS, key=lambda width: abs(math.log(width / at)))
    assert peak.position == around[0]


def test_the_interval_is_students_wider_by_half_a_step():
    places = (14.0, 16.0, 20.0)
    peak = peak_of(mixed(places), WIDTHS, "absolute_deviation")
    logs = np.log(places)
    half = 4.302652729911275 * logs.std(ddof=1) / math.sqrt(3)  # t(0.975, 2 degrees of freedom)
    step = (math.log(24 / 12) + math.log(12 / 8)) / 2 if peak.position == 12 else math.log(48 / 12) / 2
    assert peak.fitted.interval == pytest.approx(np.exp(logs.mean() + np.array([-1, 1]) * (half + step / 2)))


def test_two_seeds_and_four_widths_have_no_interval_and_an_end_has_none_either():
    assert peak_of(parabola(16.0, 2), WIDTHS, "flips").fitted.without == "fewer than 3 seeds"
    assert peak_of(parabola(8.0, 3, WIDTHS[:4]), WIDTHS[:4], "flips").fitted.without == "fewer than 5 positions"
    end = peak_of(parabola(500.0), WIDTHS, "flips")
    assert (end.position, end.fitted.interval, end.fitted.without) == (128, None, END)
    assert str(end) == f"128 ({END})"


def test_a_test_error_peaks_where_double_descent_does():
    error = np.repeat(np.array([0.6, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2])[:, None], 3, 1)
    assert peak_of(error, WIDTHS, "test_error").position == 24
    assert peak_of(error, WIDTHS, "absolute_deviation").position == 4


def test_an_axis_with_zero_is_not_logarithmic():
    noises = (0.0, 0.1, 0.2, 0.3, 0.4)
    curve = np.stack([1.0 + k - (np.array(noises) - 0.23) ** 2 for k in range(3)], 1)
    peak = peak_of(curve, noises, "absolute_deviation")
    assert peak.fitted.value == pytest.approx(0.23)
    assert peak.fitted.interval == pytest.approx((0.18, 0.28))
    apart, near = peaks_apart(curve, curve, ("flips", "flips"), noises)
    assert (apart.value, near) == (0.0, Verdict.HOLDS)


def test_the_ratio_of_two_peaks_is_paired_by_seed():
    one, other = mixed((11.0, 13.0, 15.0)), mixed((22.0, 26.0, 30.0))
    apart, near = peaks_apart(other, one, ("flips", "flips"), WIDTHS)
    step = (math.log(12 / 8) + math.log(24 / 12)) / 4  # half of it
    assert apart.value == pytest.approx(2.0)
    assert apart.interval == pytest.approx((2 * math.exp(-step), 2 * math.exp(step)))
    assert near is Verdict.SEEN  # one position on, and the interval reaches beyond


@pytest.mark.parametrize(
    ("at", "outcome"),
    [(16.0, Verdict.HOLDS), (60.0, Verdict.FAILS), (500.0, Verdict.FAILS), (5.0, Verdict.FAILS)],
)
def test_neighbours_hold_or_fail_where_seeds_agree(at, outcome):
    assert peaks_apart(parabola(at), parabola(16.0), ("flips", "flips"), WIDTHS)[1] is outcome


def test_seeds_that_disagree_make_neighbours_unsure():
    scattered = mixed((9.0, 16.0, 45.0))
    assert peaks_apart(scattered, parabola(16.0), ("flips", "flips"), WIDTHS)[1] is Verdict.SEEN
    assert peaks_apart(parabola(16.0, 2), parabola(16.0, 2), ("flips", "flips"), WIDTHS)[1] is Verdict.SEEN
    assert peaks_apart(parabola(60.0, 2), parabola(16.0, 2), ("flips", "flips"), WIDTHS)[1] is Verdict.NOT_SEEN


def test_a_flat_top_is_the_first_of_its_positions():
    flat = np.zeros((7, 3))
    assert vertices(flat, WIDTHS, "flips") == pytest.approx([math.log(4)] * 3)
