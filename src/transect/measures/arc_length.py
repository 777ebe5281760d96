"""Arc length of the curve that the outputs describe along a segment."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from transect.engine.rows import Run
from transect.measures.base import Ends, Reduced, SizesSeen, add_by_segment, row_norms


class ArcLength:
    """Sum over the regions of ``||f(t_{r+1}) - f(t_r)||_2``, ``(S,)``.

    Rounding: at most 2 r sqrt(C) a region (r: see :meth:`Ends.rounding`), and (regions + C + 8) float64 eps of the sum.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._sum = torch.zeros_like(ends.length)
        self._seen = SizesSeen(ends)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        p = run.pieces
        add_by_segment(self._sum, p.segment, row_norms(p.right - p.left))
        self._seen.update(p)

    def results(self) -> Mapping[str, Reduced]:
        """``arc_length``, ``(S,)``."""
        bound = self._seen.difference * self._ends.start.shape[1] ** 0.5 * self._seen.regions
        return {"arc_length": Reduced(self._sum, bound + self._seen.summation * self._sum)}
