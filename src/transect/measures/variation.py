"""Total variation of every output along a segment, and what it exceeds that of an affine function by."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from transect.engine.rows import Run
from transect.measures.base import Ends, Reduced, SizesSeen, add_by_segment


class Variation:
    """Sum over the regions of ``|f_c(t_{r+1}) - f_c(t_r)|``, ``(S, C)``; splitting a segment leaves it unchanged.

    The absolute value stands inside the sum: outside it would telescope to ``|f_c(1) - f_c(0)|``, which is subtracted
    for the excess variation (zero for an affine function).

    Rounding: two outputs a region, each known to r (:meth:`Ends.rounding`): at most 2 r a region, and (regions + C + 8)
    float64 eps of the sum; the excess subtracts two more outputs.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._sum = torch.zeros_like(ends.start)
        self._seen = SizesSeen(ends)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        p = run.pieces
        add_by_segment(self._sum, p.segment, (p.right - p.left).abs())
        self._seen.update(p)

    def results(self) -> Mapping[str, Reduced]:
        """``total_variation`` and ``excess_variation``, each ``(S, C)``."""
        one = self._seen.difference.unsqueeze(1)
        bound = one * self._seen.regions.unsqueeze(1) + self._seen.summation.unsqueeze(1) * self._sum
        direct = (self._ends.end - self._ends.start).abs()
        return {
            "total_variation": Reduced(self._sum, bound),
            "excess_variation": Reduced((self._sum - direct).clamp_min(0), bound + one),
        }
