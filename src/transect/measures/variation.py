"""Total variation of every output along a segment, and what it exceeds that of an affine function by."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from transect.measures.base import OUTPUT_ROUNDING, Ends, Reduced, add_by_segment, raise_by_segment
from transect.regions.run import Run


class Variation:
    """Sum over the regions of ``|f_c(t_{r+1}) - f_c(t_r)|``, ``(S, C)``; splitting a segment leaves it unchanged.

    The absolute value stands inside the sum: outside it would telescope to ``|f_c(1) - f_c(0)|``, which is subtracted
    for the excess variation (zero for an affine function).

    Rounding: two outputs a region, each known to 16 eps max|f|: at most 32 eps max|f| regions.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._sum = torch.zeros_like(ends.start)
        self._peak = ends.scale.clone()
        self._regions = torch.zeros_like(ends.length)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        p = run.pieces
        add_by_segment(self._sum, p.segment, (p.right - p.left).abs())
        raise_by_segment(self._peak, p.segment, p.peak)
        self._regions += torch.bincount(p.segment, minlength=len(self._regions))

    def results(self) -> Mapping[str, Reduced]:
        """``total_variation`` and ``excess_variation``, each ``(S, C)``."""
        bound = (2 * OUTPUT_ROUNDING * self._ends.eps * self._peak * self._regions).unsqueeze(1).expand_as(self._sum)
        direct = (self._ends.end - self._ends.start).abs()
        return {
            "total_variation": Reduced(self._sum, bound.clone()),
            "excess_variation": Reduced((self._sum - direct).clamp_min(0), bound.clone()),
        }
