"""What the engine hands on: runs of neighbouring knots, in order, with the flips found at them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Flips:
    """Pattern changes, one entry per (knot, operation, unit), ordered by knot.

    Attributes:
        knot: Index of the knot (row of the run, or knot of the segment) at which the unit changes its piece, ``(F,)``.
        operation: Index into ``network.operations``, ``(F,)``.
        unit: Flat index of the unit within one input of the operation, ``(F,)``.
        before: Piece of the unit on the open interval left of the knot, ``(F,)``.
        after: Piece on the open interval right of the knot, ``(F,)``.
    """

    knot: Tensor
    operation: Tensor
    unit: Tensor
    before: Tensor
    after: Tensor

    def __len__(self) -> int:
        return len(self.knot)


@dataclass(frozen=True)
class Pieces:
    """Intervals on which the function is affine.

    Attributes:
        segment: Segment of each, ``(P,)``.
        t0: Its left end, ``(P,)`` float64.
        t1: Its right end, ``(P,)`` float64.
        left: Outputs at its left end, ``(P, outputs)`` float64.
        right: Outputs at its right end, ``(P, outputs)`` float64.
        peak: Largest absolute output at either end, ``(P,)`` float64.
    """

    segment: Tensor
    t0: Tensor
    t1: Tensor
    left: Tensor
    right: Tensor
    peak: Tensor


@dataclass(frozen=True)
class Run:
    """Neighbouring knots of one or several segments, in order of (segment, t).

    Consecutive runs overlap: where a run goes on in the middle of a segment it first repeats the last *two* knots of
    the run before (its last interval), so that both sides of every knot are seen together exactly once.

    Attributes:
        segment: Index of the segment of each row, ``(R,)``, int64, not decreasing.
        t: Position of each row on its segment, in [0, 1], ``(R,)``, float64, strictly increasing within a segment.
        outputs: Values of the function at each row, ``(R, outputs)``.
        fresh: Index of the first interval not seen before: 0, or 1 where the run goes on inside a segment.
        t_error: Stated bound on the rounding error of each ``t``, ``(R,)``, float64.
        flips: Pattern changes with ``knot`` a row of this run, or None where they were not asked for. Flips at a knot
            shared by two runs are given once, in either.
    """

    segment: Tensor
    t: Tensor
    outputs: Tensor
    fresh: int
    t_error: Tensor
    flips: Flips | None = None

    @cached_property
    def pieces(self) -> Pieces:
        """The new intervals with the outputs at both ends, worked out once for all measures."""
        row = self.intervals()
        left, right = self.outputs[row].double(), self.outputs[row + 1].double()
        peak = torch.maximum(left.abs().amax(1), right.abs().amax(1))
        return Pieces(self.segment[row], self.t[row], self.t[row + 1], left, right, peak)

    def intervals(self) -> Tensor:
        """Rows k such that (k, k + 1) is an interval of one segment that no earlier run has shown."""
        inside = self.segment[1:] == self.segment[:-1]
        inside[: self.fresh] = False
        return inside.nonzero().squeeze(1)

    def knots(self) -> Tensor:
        """Rows k that are interior knots: both (k - 1, k) and (k, k + 1) are intervals of one segment.

        Over all runs of a trace each interior knot is reported exactly once.
        """
        if len(self.t) < 3:
            return torch.empty(0, dtype=torch.int64, device=self.t.device)
        inside = self.segment[1:] == self.segment[:-1]
        return (inside[:-1] & inside[1:]).nonzero().squeeze(1) + 1
