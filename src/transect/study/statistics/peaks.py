"""Where a curve is largest, and how far that depends on the seeds that were drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transect.plots.peaks import largest
from transect.study.statistics.bootstrap import CONFIDENCE, draws, resampled_means

PeakRule = Callable[[NDArray[np.float64]], int]


@dataclass(frozen=True)
class Peak:
    """Where the mean over seeds of a curve is largest.

    Attributes:
        place: Which position of the sweep, from 0.
        position: The width or epoch there.
        interval: From which to which position the peak lies in 95 % of the draws of seeds; None for one seed.
        share: Part of the draws in which it is at ``position``; None for one seed.
    """

    place: int
    position: int
    interval: tuple[int, int] | None
    share: float | None

    def __str__(self) -> str:
        return str(self.position) + (" [{}, {}]".format(*self.interval) if self.interval else "")


def peak_of(curve: NDArray[np.float64], positions: tuple[int, ...], rule: PeakRule = largest) -> Peak:
    """The peak of the mean over seeds.

    Args:
        curve: ``(P, K)``: a row a position, a column a seed.
        positions: Widths or epochs, ``P`` of them.
        rule: :func:`largest`, or :func:`transect.plots.peaks.descent_peak` for a test error.

    Returns:
        The peak, with the interval over resampled seeds: quantiles of the places, which are places themselves.
    """
    place = rule(curve.mean(1))
    if curve.shape[1] == 1:
        return Peak(place, positions[place], None, None)
    found = np.sort([rule(mean) for mean in resampled_means(curve, draws(curve.shape[1]))])
    tail = int((1 - CONFIDENCE) / 2 * len(found))
    ends = positions[found[tail]], positions[found[-1 - tail]]
    return Peak(place, positions[place], ends, float((found == place).mean()))
