"""Where a curve peaks, and on which axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.signal
from numpy.typing import NDArray

LEAST_PROMINENCE = 0.1  # of the range of the test error: below, a local maximum is taken for noise


def largest(mean: NDArray[np.float64]) -> int:
    """The place of the largest value; the first of several."""
    return int(mean.argmax())


def descent_peak(error: NDArray[np.float64]) -> int:
    """The place of the peak of a test error, ``(P,)``.

    That is the largest value. Where it is the first one, which is not the peak of a double descent but networks too
    small (or too early) to have learned, it is the most prominent maximum inside, if it is as prominent as a tenth of
    the range of the curve.
    """
    place = largest(error)
    if place > 0 or len(error) < 3:
        return place
    inside, found = scipy.signal.find_peaks(error, prominence=max(LEAST_PROMINENCE * float(np.ptp(error)), 1e-300))
    return int(inside[found["prominences"].argmax()]) if len(inside) else place


def is_logarithmic(positions: Sequence[float]) -> bool:
    """Whether positions are laid out by their logarithm: where all are positive."""
    return min(positions) > 0


def axis_of(positions: Sequence[float]) -> NDArray[np.float64]:
    """Where positions lie on their axis."""
    found = np.asarray(positions, dtype=np.float64)
    return np.log(found) if is_logarithmic(positions) else found


def rule_of(column: str) -> Callable[[NDArray[np.float64]], int]:
    """How to find the peak of a column: errors of unseen samples as in double descent, all else where it is largest."""
    return descent_peak if column in ("test_error", "validation_error", "test_loss") else largest
