"""Absolute deviation of the outputs less their mean: what a softmax, which ignores a common shift, can see of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from transect.engine.rows import Run
from transect.measures.absolute_deviation import mean_absolute_value
from transect.measures.base import Ends, Reduced, SizesSeen, add_by_segment


def centred(outputs: Tensor) -> Tensor:
    """Outputs less their mean over the outputs traced, ``(N, C)``."""
    return outputs - outputs.mean(1, keepdim=True)


class CentredDeviation:
    """L times the integral of ``|f_c - a_c|`` over t in [0, 1] with f less its mean over the outputs, ``(S, C)``.

    Rounding: a centred output is known to 2 r (:meth:`Ends.rounding`), so that the difference adds at most 4 r L;
    adding up the regions loses at most (regions + C + 8) float64 eps of the sum.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = replace(ends, start=centred(ends.start), end=centred(ends.end))
        self._integral = torch.zeros_like(ends.start)
        self._seen = SizesSeen(ends)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        p = run.pieces
        left = centred(p.left) - self._ends.straight(p.segment, p.t0)
        right = centred(p.right) - self._ends.straight(p.segment, p.t1)
        add_by_segment(self._integral, p.segment, mean_absolute_value(left, right) * (p.t1 - p.t0).unsqueeze(1))
        self._seen.update(p)

    def results(self) -> Mapping[str, Reduced]:
        """``centred_deviation``, ``(S, C)``."""
        deviation = self._integral * self._ends.length.unsqueeze(1)
        rounding = (2 * self._seen.difference * self._ends.length).unsqueeze(1)
        return {"centred_deviation": Reduced(deviation, rounding + self._seen.summation.unsqueeze(1) * deviation)}
