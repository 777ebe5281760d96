"""Absolute deviation: the length of a segment times the integral of ``|f - a|``, output by output.

a is the affine function through the two ends of the segment (Gamba et al., AISTATS 2022).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from transect.engine.rows import Run
from transect.measures.base import Ends, Reduced, SizesSeen, add_by_segment


def mean_absolute_value(left: Tensor, right: Tensor) -> Tensor:
    """Mean of ``|g|`` over an interval on which g is affine, worth ``left`` and ``right`` at its ends.

    ``(|g0| + |g1|) / 2``, or ``(g0^2 + g1^2) / (2 (|g0| + |g1|))`` where the signs are strictly opposite.
    """
    total = left.abs() + right.abs()
    opposite = ((left > 0) & (right < 0)) | ((left < 0) & (right > 0))
    # (g0^2 + g1^2) / (2 s) = s / 2 - |g0| |g1| / s without squares that overflow or vanish
    share = left.abs() / torch.where(opposite, total, 1.0)
    return torch.where(opposite, total / 2 - share * right.abs(), total / 2)


class AbsoluteDeviation:
    """L times the integral of ``|f_c - a_c|`` over t in [0, 1], ``(S, C)``.

    Rounding: each of f and a is known to r (:meth:`Ends.rounding`) at every point, so that their difference adds at
    most 2 r L; adding up the regions loses at most (regions + C + 8) float64 eps of the sum.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._integral = torch.zeros_like(ends.start)
        self._seen = SizesSeen(ends)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        p = run.pieces
        left = p.left - self._ends.straight(p.segment, p.t0)
        right = p.right - self._ends.straight(p.segment, p.t1)
        add_by_segment(self._integral, p.segment, mean_absolute_value(left, right) * (p.t1 - p.t0).unsqueeze(1))
        self._seen.update(p)

    def results(self) -> Mapping[str, Reduced]:
        """``absolute_deviation``, ``(S, C)``."""
        deviation = self._integral * self._ends.length.unsqueeze(1)
        bound = (self._seen.difference * self._ends.length).unsqueeze(1) + self._seen.summation.unsqueeze(1) * deviation
        return {"absolute_deviation": Reduced(deviation, bound)}
