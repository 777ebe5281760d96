"""Crossings: distinct interior knots at which the activation pattern changes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from transect.engine.rows import Run
from transect.measures.base import Ends, Reduced


class CrossingCount:
    """Counts the interior knots of every segment; regions are one more. Counts have no rounding."""

    def __init__(self, ends: Ends) -> None:
        self._count = torch.zeros_like(ends.length)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        self._count += torch.bincount(run.segment[run.knots()], minlength=len(self._count))

    def results(self) -> Mapping[str, Reduced]:
        """``crossings``, ``(S,)``."""
        return {"crossings": Reduced(self._count, torch.zeros_like(self._count))}
