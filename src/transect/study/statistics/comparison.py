"""One curve over width, epoch or another setting, and whether it follows the test error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transect.confidence import Estimate, Outcome, all_of
from transect.labels import name_of
from transect.plots import Curves
from transect.plots.peaks import descent_peak
from transect.study.statistics.peaks import Peak, peak_of, peaks_apart
from transect.study.statistics.ranks import rank_correlation


@dataclass(frozen=True)
class Curve:
    """One curve over the positions of a sweep, mean over seeds.

    Attributes:
        name: What it is, in words.
        peak: Where it is largest.
        peak_value: Its value there.
        fall: 1 - last / peak: by which part it has fallen at the last position.
        growth: Last position's value over first position's.
    """

    name: str
    peak: Peak
    peak_value: float
    fall: float
    growth: float


@dataclass(frozen=True)
class Comparison:
    """Whether a curve follows the test error: its peak is at the same position or a neighbour, *and* the rank
    correlation is positive on each side of the test error's peak (the peak's own position counts on both sides).

    Attributes:
        column: Column of the run table.
        curve: The curve.
        near: Whether it peaks at the same position of the sweep as the test error, or at the next one to either side.
        apart: Fitted position of its peak over that of the test error (:func:`~.peaks.peaks_apart`).
        left: Rank correlation with the test error up to the test error's peak.
        right: Rank correlation from the peak on.
        whole: Rank correlation over the whole sweep.
    """

    column: str
    curve: Curve
    near: Outcome
    apart: Estimate
    left: Estimate
    right: Estimate
    whole: Estimate

    @property
    def follows(self) -> Outcome:
        """Whether the curve follows the test error."""
        return all_of((self.near, self.left.above(0.0), self.right.above(0.0)))


def curve_of(curves: Curves, column: str) -> Curve:
    """Sum up a column by its peak, fall and growth.

    Args:
        curves: The sweep.
        column: One of its columns.

    Returns:
        The curve; what would divide by zero is NaN.
    """
    mean = curves.mean(column)
    peak = peak_of(curves.values[column], curves.positions, column)
    return Curve(
        name=name_of(column),
        peak=peak,
        peak_value=float(mean[peak.place]),
        fall=_ratio(mean[peak.place] - mean[-1], mean[peak.place]),
        growth=_ratio(mean[-1], mean[0]),
    )


def compare(curves: Curves, column: str) -> Comparison:
    """Compare a column with the test error.

    Args:
        curves: The sweep, with the column ``test_error``.
        column: One of its columns.

    Returns:
        The comparison.
    """
    ours, error = curves.values[column], curves.values["test_error"]
    apart, near = peaks_apart(ours, error, (column, "test_error"), curves.positions)
    peak = descent_peak(error.mean(1))
    left, right, whole = (
        rank_correlation(ours[part], error[part]) for part in (slice(0, peak + 1), slice(peak, None), slice(None))
    )
    return Comparison(column, curve_of(curves, column), near, apart, left, right, whole)


def _ratio(numerator: float, denominator: float) -> float:
    """A quotient that is NaN where the denominator is zero."""
    return float(numerator / denominator) if denominator else float(np.nan)
