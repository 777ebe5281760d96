"""Arc length of the curve that the outputs describe along a segment."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from transect.measures.base import OUTPUT_ROUNDING, Ends, Reduced, add_by_segment, raise_by_segment
from transect.regions.run import Run


class ArcLength:
    """Sum over the regions of ``||f(t_{r+1}) - f(t_r)||_2``, ``(S,)``.

    Rounding: at most 32 eps max|f| sqrt(C) regions.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._sum = torch.zeros_like(ends.length)
        self._peak = ends.scale.clone()
        self._regions = torch.zeros_like(ends.length)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        p = run.pieces
        add_by_segment(self._sum, p.segment, (p.right - p.left).norm(dim=1))
        raise_by_segment(self._peak, p.segment, p.peak)
        self._regions += torch.bincount(p.segment, minlength=len(self._regions))

    def results(self) -> Mapping[str, Reduced]:
        """``arc_length``, ``(S,)``."""
        outputs = self._ends.start.shape[1]
        bound = 2 * OUTPUT_ROUNDING * self._ends.eps * self._peak * outputs**0.5 * self._regions
        return {"arc_length": Reduced(self._sum, bound)}
