"""Rank correlation of two curves over width or epoch, and how far it depends on the seeds that were drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from transect.study.statistics.bootstrap import Interval, interval_of

FEWEST_POSITIONS = 6  # below, the rank correlation takes so few values that an interval says nothing


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation between the means over seeds of two curves, over some neighbouring positions.

    Attributes:
        positions: The widths or epochs.
        value: The correlation in [-1, 1]; NaN where it is not defined (one position, or a constant curve).
        interval: Bootstrap interval over seeds, 95 %; None where it would be of no use.
        without: Why there is no interval; empty where there is one.
    """

    positions: tuple[int, ...]
    value: float
    interval: Interval | None
    without: str

    @property
    def is_positive(self) -> bool:
        """Whether it is defined and above zero."""
        return self.value > 0

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not defined"
        return f"{self.value:+.2f}" + (" [{:+.2f}, {:+.2f}]".format(*self.interval) if self.interval else "")


def rank_correlation(
    one: NDArray[np.float64], other: NDArray[np.float64], positions: tuple[int, ...], over: str = "width"
) -> RankCorrelation:
    """Correlate the ranks of two curves, with the seeds as the unit that is resampled.

    Args:
        one: A curve, ``(P, K)``: a row a position, a column a seed.
        other: The other, ``(P, K)``; its columns are of the same seeds.
        positions: The widths or epochs of the rows, ``P`` of them.
        over: What the positions are, for the reason why there is no interval.

    Returns:
        The correlation of the means over seeds. The interval is the 2.5 % to the 97.5 % quantile over 2,000 draws of
        ``K`` seeds with replacement (fixed seed; Efron & Tibshirani, 1993, section 13.3).
    """
    value = float(spearman(one.mean(1), other.mean(1)))
    without = _why_no_interval(len(positions), one.shape[1], value, over)
    return RankCorrelation(positions, value, None if without else interval_of(spearman, one, other), without)


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's rank correlation along the last axis, ``(..., P) -> (...)``; NaN where a curve is constant.

    Pearson's correlation of the ranks, ties sharing their mean rank: what ``scipy.stats.spearmanr`` gives, for many
    resamples at once.
    """
    one, other = (_centred(scipy.stats.rankdata(each, axis=-1)) for each in (one, other))
    scale = np.sqrt((one**2).sum(-1) * (other**2).sum(-1))
    with np.errstate(invalid="ignore"):
        return np.asarray((one * other).sum(-1) / scale, dtype=np.float64)


def _centred(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    return ranks - ranks.mean(-1, keepdims=True)


def _why_no_interval(positions: int, seeds: int, value: float, over: str) -> str:
    if math.isnan(value):
        return "the correlation is not defined"
    if positions < FEWEST_POSITIONS:
        return f"fewer than {FEWEST_POSITIONS} {over}s"
    return "one seed" if seeds == 1 else ""
