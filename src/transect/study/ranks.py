"""Rank correlation of two curves over width, and how far it depends on the seeds that were drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

FEWEST_WIDTHS = 6  # below, the rank correlation takes so few values that an interval says nothing
CONFIDENCE = 0.95
_RESAMPLES, _SEED = 2000, 0


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation between the means over seeds of two curves, over some neighbouring widths.

    Attributes:
        widths: The widths.
        value: The correlation in [-1, 1]; NaN where it is not defined (one width, or a constant curve).
        interval: Bootstrap interval over seeds, 95 %; None where it would be of no use.
        without: Why there is no interval; empty where there is one.
    """

    widths: tuple[int, ...]
    value: float
    interval: tuple[float, float] | None
    without: str

    @property
    def is_positive(self) -> bool:
        """Whether it is defined and above zero."""
        return self.value > 0

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not defined"
        return f"{self.value:+.2f}" + (" [{:+.2f}, {:+.2f}]".format(*self.interval) if self.interval else "")


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64], widths: tuple[int, ...]) -> RankCorrelation:
    """Correlate the ranks of two curves, with the seeds as the unit that is resampled.

    Args:
        one: A curve, ``(W, K)``: a row a width, a column a seed.
        other: The other, ``(W, K)``; its columns are of the same seeds.
        widths: The widths of the rows, ``W`` of them.

    Returns:
        The correlation of the means over seeds. The interval is the 2.5 % to the 97.5 % quantile over 2,000 draws of
        ``K`` seeds with replacement (fixed seed; Efron & Tibshirani, 1993, section 13.3).
    """
    value = float(spearman(one.mean(1), other.mean(1)))
    without = _why_no_interval(len(widths), one.shape[1], value)
    return RankCorrelation(widths, value, None if without else _interval(one, other), without)


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's rank correlation along the last axis, ``(..., W) -> (...)``; NaN where a curve is constant.

    Pearson's correlation of the ranks, ties sharing their mean rank: what ``scipy.stats.spearmanr`` gives, for many
    resamples at once.
    """
    one, other = (_centred(scipy.stats.rankdata(each, axis=-1)) for each in (one, other))
    scale = np.sqrt((one**2).sum(-1) * (other**2).sum(-1))
    with np.errstate(invalid="ignore"):
        return np.asarray((one * other).sum(-1) / scale, dtype=np.float64)


def _centred(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    return ranks - ranks.mean(-1, keepdims=True)


def _why_no_interval(widths: int, seeds: int, value: float) -> str:
    if math.isnan(value):
        return "the correlation is not defined"
    if widths < FEWEST_WIDTHS:
        return f"fewer than {FEWEST_WIDTHS} widths"
    return "one seed" if seeds == 1 else ""


def _interval(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    seeds = one.shape[1]
    drawn = np.random.default_rng(_SEED).integers(seeds, size=(_RESAMPLES, seeds))
    values = spearman(_resampled_means(one, drawn), _resampled_means(other, drawn))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _resampled_means(curve: NDArray[np.float64], drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """Means over each draw of seeds, ``(W, K), (R, K) -> (R, W)``."""
    return curve[:, drawn].mean(-1).T
