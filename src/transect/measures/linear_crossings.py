"""Linear crossings: knots at which the slope of the function really changes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from transect.engine.rows import Run
from transect.measures.base import Ends, Reduced


class LinearCrossings:
    """Counts the crossings at which the slope of some output changes beyond rounding.

    A knot is linear iff, for some output, ``|slope right - slope left|`` exceeds the sum over both sides of
    ``(r + 2 u |slope|) / h``: r is the rounding of an output, with max|f| over the segment's ends and the knot's
    neighbours, u that of a position (the unit roundoff of float64). Knots below that where some slope changes at all
    are undecided.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._linear = torch.zeros_like(ends.length)
        self._undecided = torch.zeros_like(ends.length)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        knot = run.knots()
        segment = run.segment[knot]
        jump, tolerance = self._jump(run, knot, segment)
        linear = (jump > tolerance).any(1)
        undecided = ~linear & (jump > 0).any(1)
        self._linear += torch.bincount(segment[linear], minlength=len(self._linear))
        self._undecided += torch.bincount(segment[undecided], minlength=len(self._linear))

    def _jump(self, run: Run, knot: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
        """Absolute change of slope of every output and what rounding can make of it, each ``(K, C)``."""
        f, h = run.outputs.double(), run.t.diff().unsqueeze(1)
        slope, peak = f.diff(dim=0) / h, f.abs().amax(1)
        near = torch.stack([self._ends.scale[segment], peak[knot - 1], peak[knot], peak[knot + 1]]).amax(0)
        output, position = self._ends.rounding(near).unsqueeze(1), 2 * torch.finfo(torch.float64).eps
        left, right = knot - 1, knot
        unsure = sum((output + position * slope[side].abs()) / h[side] for side in (left, right))
        return (slope[right] - slope[left]).abs(), torch.as_tensor(unsure)

    def results(self) -> Mapping[str, Reduced]:
        """``linear_crossings`` and ``undecided_crossings``, each ``(S,)``."""
        exact = torch.zeros_like(self._linear)
        return {
            "linear_crossings": Reduced(self._linear, self._undecided),
            "undecided_crossings": Reduced(self._undecided, exact),
        }
