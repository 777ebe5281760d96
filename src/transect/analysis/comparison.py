"""One curve over width, epoch or another setting, and whether it follows the test error."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from transect.analysis.confidence import MeanWithInterval, Verdict, all_of, mean_of
from transect.analysis.peaks import Peak, descent_peak, peak_of, peaks_apart
from transect.tables.curves import Curves
from transect.tables.names import name_of


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> MeanWithInterval:
    """Spearman's rank correlation of two curves, the mean of those of each seed.

    Args:
        one: A curve, ``(P, K)``: a row a position, a column a seed.
        other: The other, ``(P, K)``; its columns are of the same seeds.

    Returns:
        The mean over seeds, with Student's t interval, within [-1, 1] and never narrower than one step of what a
        correlation of ``P`` ranks can be; not defined where a curve of some seed is constant.
    """
    positions = len(one)
    step = 12 / (positions * (positions**2 - 1)) if positions > 1 else math.nan
    found = mean_of([spearman(a, b) for a, b in zip(one.T, other.T, strict=True)], positions=positions, least=step)
    if found.interval is None:
        return found
    return dataclasses.replace(found, interval=(max(found.interval[0], -1.0), min(found.interval[1], 1.0)))


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Of two curves ``(P,)``; NaN where one is constant. Rounded to twelve digits, so that equal ranks give 1."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return round(float(scipy.stats.spearmanr(one, other).statistic), 12)


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
class CurveComparison:
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
    near: Verdict
    apart: MeanWithInterval
    left: MeanWithInterval
    right: MeanWithInterval
    whole: MeanWithInterval

    @property
    def follows(self) -> Verdict:
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


def compare(curves: Curves, column: str) -> CurveComparison:
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
    return CurveComparison(column, curve_of(curves, column), near, apart, left, right, whole)


def _ratio(numerator: float, denominator: float) -> float:
    """A quotient that is NaN where the denominator is zero."""
    return float(numerator / denominator) if denominator else float(np.nan)
