"""Where a curve peaks, and on which axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from transect.analysis.confidence import MeanWithInterval, Verdict, mean_of

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


END = "an end of the sweep"


@dataclass(frozen=True)
class Peak:
    """Where a curve is largest.

    Attributes:
        place: Which position of the sweep, from 0: that of the largest mean over seeds.
        position: The width, epoch, ... there.
        fitted: Of each seed the vertex of the parabola through its largest point and the two beside it, on the axis of
            the logarithm (where all positions are positive); the mean of these, transformed back. The interval is
            Student's t over seeds, wider by half the distance of neighbouring positions to either side: no grid tells
            more. None where the mean peaks at an end: the true peak may lie beyond.
    """

    place: int
    position: float
    fitted: MeanWithInterval

    def __str__(self) -> str:
        if self.fitted.interval is None:
            return f"{self.position:,g}" + (f" ({END})" if self.fitted.without == END else "")
        return f"{self.position:,g} (fitted {self.fitted.told()})"


def peak_of(curve: NDArray[np.float64], positions: Sequence[float], column: str) -> Peak:
    """The peak of a curve.

    Args:
        curve: ``(P, K)``: a row a position, a column a seed.
        positions: Widths, epochs, ..., ``P`` of them.
        column: Which column it is; the test error peaks where :func:`transect.analysis.peaks.descent_peak` says.
    """
    place = rule_of(column)(curve.mean(1))
    fitted = mean_of(vertices(curve, positions, column), positions=len(positions), margin=_step(positions, place) / 2)
    if place in (0, len(positions) - 1):
        fitted = MeanWithInterval(fitted.value, None, END)
    return Peak(place, positions[place], fitted.exp() if is_logarithmic(positions) else fitted)


def peaks_apart(
    one: NDArray[np.float64], other: NDArray[np.float64], columns: tuple[str, str], positions: Sequence[float]
) -> tuple[MeanWithInterval, Verdict]:
    """How far the peak of one curve lies from that of the other, seed by seed, and whether they are neighbours.

    Args:
        one: ``(P, K)``.
        other: ``(P, K)``, of the same seeds.
        columns: Which they are.
        positions: ``P`` of them.

    Returns:
        The ratio of the fitted positions, one / other (their difference where the axis is not logarithmic), with an
        interval as that of a :class:`Peak`; and whether the one lies no farther from the other than the next position.
        The largest means say what is seen; it is sure where the interval lies within, or without, one position.
    """
    places = [rule_of(column)(curve.mean(1)) for column, curve in zip(columns, (one, other), strict=True)]
    found = [vertices(curve, positions, column) for column, curve in zip(columns, (one, other), strict=True)]
    apart = mean_of(found[0] - found[1], positions=len(positions), margin=_step(positions, places[1]) / 2)
    axis = axis_of(positions)
    to = [axis[min(max(places[1] + step, 0), len(axis) - 1)] - axis[places[1]] for step in (-1, 1)]
    near = abs(places[0] - places[1]) <= 1
    agreed, seen = apart.between(*to), Verdict.SEEN if near else Verdict.NOT_SEEN
    outcome = agreed if near == (agreed >= Verdict.SEEN) else seen
    return (apart.exp() if is_logarithmic(positions) else apart), outcome


def vertices(curve: NDArray[np.float64], positions: Sequence[float], column: str) -> NDArray[np.float64]:
    """Of each seed the fitted place of its peak on the axis, ``(P, K) -> (K,)``; a peak at an end stays there."""
    axis, rule = axis_of(positions), rule_of(column)
    return np.array([_vertex(axis, values, rule(values)) for values in curve.T])


def _vertex(axis: NDArray[np.float64], values: NDArray[np.float64], place: int) -> float:
    if place in (0, len(axis) - 1):
        return float(axis[place])
    before, after = axis[place] - axis[place - 1], axis[place + 1] - axis[place]
    rise, fall = values[place] - values[place - 1], values[place] - values[place + 1]
    bent = before * fall + after * rise
    return float(axis[place] + (after**2 * rise - before**2 * fall) / (2 * bent)) if bent > 0 else float(axis[place])


def _step(positions: Sequence[float], place: int) -> float:
    """Mean distance from a position to its neighbours, on the axis."""
    steps = np.diff(axis_of(positions))[max(place - 1, 0) : place + 1]
    return float(steps.mean()) if len(steps) else 0.0
