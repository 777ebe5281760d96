"""Rank correlation of two curves over the positions of a sweep, seed by seed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from transect.confidence import Estimate, mean_of


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> Estimate:
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
