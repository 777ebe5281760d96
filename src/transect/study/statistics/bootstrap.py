"""Intervals that say how far a number depends on the seeds that were drawn; the seed is the unit that is resampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES, _SEED = 2000, 0
_TAILS = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)

Interval = tuple[float, float]


def draws(seeds: int) -> NDArray[np.int64]:
    """2,000 draws of ``K`` of ``K`` seeds with replacement, ``(R, K)``: the same every time, so that curves drawn
    apart stay paired by seed."""
    return np.random.default_rng(_SEED).integers(seeds, size=(RESAMPLES, seeds))


def resampled_means(curve: NDArray[np.float64], drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """Means over each draw of seeds, ``(P, K), (R, K) -> (R, P)``."""
    return curve[:, drawn].mean(-1).T


def interval(resampled: NDArray[np.float64]) -> Interval:
    """The 2.5 % to the 97.5 % quantile of a resampled number, ``(R,)`` (Efron & Tibshirani, 1993, section 13.3).

    Draws for which the number is not defined are left out.
    """
    low, high = np.nanquantile(resampled, _TAILS)
    return float(low), float(high)


def interval_of(number: Callable[..., NDArray[np.float64]], *curves: NDArray[np.float64]) -> Interval | None:
    """Interval of a number that is made from the means over seeds of some curves.

    Args:
        number: Given the means of each curve, ``(R, P)``, gives ``(R,)``.
        curves: Each ``(P, K)``, columns of the same seeds.

    Returns:
        The interval; None where there is one seed, or the number is defined for no draw.
    """
    if curves[0].shape[1] == 1:
        return None
    drawn = draws(curves[0].shape[1])
    found = number(*(resampled_means(curve, drawn) for curve in curves))
    return None if np.isnan(found).all() else interval(found)


def interval_of_mean(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interval of the mean over seeds at each position, ``(P, K) -> (P, 2)``; NaN where there is one seed."""
    if curve.shape[1] == 1:
        return np.full((len(curve), 2), np.nan)
    return np.quantile(resampled_means(curve, draws(curve.shape[1])), _TAILS, axis=0).T
