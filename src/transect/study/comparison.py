"""One curve over width, and whether it follows the test error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transect.plots import Curves
from transect.study.ranks import RankCorrelation, rank_correlation

NAMES = {
    "test_error": "test error",
    "absolute_deviation": "absolute deviation",
    "normalised_deviation": "deviation / logit std",
    "density": "density",
}
"""Columns of the run table that are judged, and what they are called."""


@dataclass(frozen=True)
class Curve:
    """One curve over width, mean over seeds.

    Attributes:
        name: What it is, in words.
        peak: Width at which it is largest.
        peak_value: Its value there.
        fall: 1 - last / peak: by which part it has fallen at the largest width.
        growth: Largest width's value over smallest width's.
        rises: Whether it rises from every width to the next.
    """

    name: str
    peak: int
    peak_value: float
    fall: float
    growth: float
    rises: bool


@dataclass(frozen=True)
class Comparison:
    """Whether a curve follows the test error: its peak is at the same width or a neighbour, *and* the rank correlation
    is positive on each side of the test error's peak (the peak's own width counts on both sides).

    Attributes:
        curve: The curve.
        near: Whether it peaks at the same width of the sweep as the test error, or at the next one to either side.
        seeds_near: The same, each seed taken alone: how many.
        left: Rank correlation with the test error up to the test error's peak.
        right: Rank correlation from the peak on.
    """

    curve: Curve
    near: bool
    seeds_near: int
    left: RankCorrelation
    right: RankCorrelation

    @property
    def follows(self) -> bool:
        """Whether the curve follows the test error."""
        return self.near and self.left.is_positive and self.right.is_positive


def curve_of(curves: Curves, column: str) -> Curve:
    """Sum up a column by its peak, fall and growth.

    Args:
        curves: The sweep.
        column: One of :data:`NAMES`.

    Returns:
        The curve; what would divide by zero is NaN.
    """
    mean = curves.mean(column)
    peak = int(mean.argmax())
    return Curve(
        name=NAMES[column],
        peak=curves.widths[peak],
        peak_value=float(mean[peak]),
        fall=_ratio(mean[peak] - mean[-1], mean[peak]),
        growth=_ratio(mean[-1], mean[0]),
        rises=bool((np.diff(mean) > 0).all()),
    )


def compare(curves: Curves, column: str) -> Comparison:
    """Compare a column with the test error.

    Args:
        curves: The sweep, with the column ``test_error``.
        column: One of :data:`NAMES`.

    Returns:
        The comparison.
    """
    ours, error = curves.values[column], curves.values["test_error"]
    peak = int(error.mean(1).argmax())
    sides = slice(0, peak + 1), slice(peak, None)
    left, right = (rank_correlation(ours[side], error[side], curves.widths[side]) for side in sides)
    return Comparison(
        curve=curve_of(curves, column),
        near=abs(int(ours.mean(1).argmax()) - peak) <= 1,
        seeds_near=int((abs(ours.argmax(0) - error.argmax(0)) <= 1).sum()),
        left=left,
        right=right,
    )


def _ratio(numerator: float, denominator: float) -> float:
    """A quotient that is NaN, and so meets no expectation, where the denominator is zero."""
    return float(numerator / denominator) if denominator else float("nan")
