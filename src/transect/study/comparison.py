"""One curve over width or epoch, and whether it follows the test error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transect.labels import name_of
from transect.plots import Curves
from transect.plots.peaks import descent_peak, rule_of
from transect.study.ranks import RankCorrelation, rank_correlation
from transect.study.statistics.bootstrap import draws, resampled_means
from transect.study.statistics.peaks import Peak, peak_of


@dataclass(frozen=True)
class Curve:
    """One curve over width or epoch, mean over seeds.

    Attributes:
        name: What it is, in words.
        peak: Width or epoch at which it is largest; of a test error see
            :func:`transect.plots.peaks.descent_peak`.
        peak_value: Its value there.
        fall: 1 - last / peak: by which part it has fallen at the last position.
        growth: Last position's value over first position's.
        rises: Whether it rises from every position to the next.
        where: The peak, with its interval over resampled seeds.
    """

    name: str
    peak: int
    peak_value: float
    fall: float
    growth: float
    rises: bool
    where: Peak


@dataclass(frozen=True)
class Comparison:
    """Whether a curve follows the test error: its peak is at the same position or a neighbour, *and* the rank
    correlation is positive on each side of the test error's peak (the peak's own position counts on both sides).

    Attributes:
        column: Column of the run table.
        curve: The curve.
        near: Whether it peaks at the same position of the sweep as the test error, or at the next one to either side.
        seeds_near: The same, each seed taken alone: how many.
        near_share: The same, part of the draws of seeds; None for one seed.
        left: Rank correlation with the test error up to the test error's peak.
        right: Rank correlation from the peak on.
        whole: Rank correlation over the whole sweep.
    """

    column: str
    curve: Curve
    near: bool
    seeds_near: int
    near_share: float | None
    left: RankCorrelation
    right: RankCorrelation
    whole: RankCorrelation

    @property
    def follows(self) -> bool:
        """Whether the curve follows the test error."""
        return self.near and self.left.is_positive and self.right.is_positive


def curve_of(curves: Curves, column: str) -> Curve:
    """Sum up a column by its peak, fall and growth.

    Args:
        curves: The sweep.
        column: One of its columns.

    Returns:
        The curve; what would divide by zero is NaN.
    """
    mean = curves.mean(column)
    peak = peak_of(curves.values[column], curves.positions, rule_of(column))
    return Curve(
        name=name_of(column),
        peak=peak.position,
        peak_value=float(mean[peak.place]),
        fall=_ratio(mean[peak.place] - mean[-1], mean[peak.place]),
        growth=_ratio(mean[-1], mean[0]),
        rises=bool((np.diff(mean) > 0).all()),
        where=peak,
    )


def compare(curves: Curves, column: str) -> Comparison:
    """Compare a column with the test error.

    Args:
        curves: The sweep, over width or epoch, with the column ``test_error``.
        column: One of its columns.

    Returns:
        The comparison.
    """
    ours, error = curves.values[column], curves.values["test_error"]
    curve, peak = curve_of(curves, column), descent_peak(error.mean(1))
    parts = slice(0, peak + 1), slice(peak, None), slice(None)
    left, right, whole = (
        rank_correlation(ours[part], error[part], curves.positions[part], curves.over) for part in parts
    )
    return Comparison(
        column=column,
        curve=curve,
        near=abs(curve.where.place - peak) <= 1,
        seeds_near=int(_near(ours.T, error.T, column).sum()),
        near_share=_near_share(ours, error, column),
        left=left,
        right=right,
        whole=whole,
    )


def _near(ours: NDArray[np.float64], error: NDArray[np.float64], column: str) -> NDArray[np.bool_]:
    """Whether the peaks are neighbours, of pairs of curves ``(N, P), (N, P) -> (N,)``."""
    rule = rule_of(column)
    return np.array([abs(rule(a) - descent_peak(b)) <= 1 for a, b in zip(ours, error, strict=True)])


def _near_share(ours: NDArray[np.float64], error: NDArray[np.float64], column: str) -> float | None:
    if ours.shape[1] == 1:
        return None
    drawn = draws(ours.shape[1])
    return float(_near(resampled_means(ours, drawn), resampled_means(error, drawn), column).mean())


def _ratio(numerator: float, denominator: float) -> float:
    """A quotient that is NaN, and so meets no expectation, where the denominator is zero."""
    return float(numerator / denominator) if denominator else float("nan")
