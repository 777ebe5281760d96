"""Rows of values at the knots, how they are refined, and the runs of them that the engine hands on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Position of every present row among the rows of an older value: between ``parent`` and ``parent + 1``.

    Attributes:
        parent: Row of the older value at or left of the present row, ``(R,)``, int64.
        weight: Position between ``parent`` (0) and ``parent + 1`` (1), ``(R,)``, float64.
    """

    parent: Tensor
    weight: Tensor

    def refined_by(self, inner: Grid) -> Grid:
        """The grid of rows that lie, by ``inner``, among the rows this grid places."""
        left = inner.parent
        right = torch.clamp(left + 1, max=len(self.parent) - 1)
        parent, low = self.parent[left], self.weight[left]
        # The right neighbour lies in the same old interval, or exactly on its right end.
        high = torch.where(self.parent[right] == parent, self.weight[right], 1.0)
        return Grid(parent, low + inner.weight * (high - low))

    def interpolate(self, values: Tensor) -> Tensor:
        """Values at the present rows; a new tensor."""
        between = self.weight.nonzero().squeeze(1)
        if 2 * len(between) > len(self.weight):
            return _lerp(values, self.parent, self.weight)
        refined = values.index_select(0, self.parent)
        if len(between):
            refined.index_copy_(0, between, _lerp(values, self.parent[between], self.weight[between]))
        return refined

    def rows(self, first: int, last: int) -> tuple[Grid, int, int]:
        """The grid of rows ``first..last`` (inclusive) and the range of old rows it needs."""
        parent = self.parent[first : last + 1]
        low, high = int(parent[0]), int(parent[-1])
        return Grid(parent - low, self.weight[first : last + 1]), low, high + 2


def _lerp(values: Tensor, parent: Tensor, weight: Tensor) -> Tensor:
    right = torch.clamp(parent + 1, max=len(values) - 1)
    weight = weight.to(values.dtype).reshape(-1, *(1,) * (values.dim() - 1))
    return values.index_select(0, parent).lerp_(values.index_select(0, right), weight)


class Domain(Protocol):
    """Where in its input space a network is restricted, and the values there that are affine.

    Places are rows of two numbers: a segment and a position on it, or two coordinates of a plane.
    """

    def points(self, places: Tensor) -> Tensor:
        """Values at places, ``(n, 2)`` to ``(n, *shape)``."""

    def between(self, places: Tensor) -> Tensor:
        """Values at the places, then two more for each: of all three rounding has the size, ``(3 n, *shape)``."""

    def along(self, places: Tensor) -> Tensor:
        """Derivatives at the places in a direction in which the domain goes on, ``(n, *shape)``."""


@dataclass(frozen=True)
class Line:
    """A value that is affine along every segment: its start, its direction and its end, one row a segment.

    The end is not start plus direction, which are rounded: a unit at its threshold there is exactly at it.
    """

    start: Tensor
    direction: Tensor
    end: Tensor

    def at(self, segment: Tensor, t: Tensor) -> Tensor:
        """Values at positions ``t`` of segments ``segment``; exact at both ends; a new tensor."""
        weight = t.to(self.start.dtype).reshape(-1, *(1,) * (self.start.dim() - 1))
        found = torch.addcmul(self.start.index_select(0, segment), self.direction.index_select(0, segment), weight)
        last = (t == 1).nonzero().squeeze(1)
        return found.index_copy_(0, last, self.end.index_select(0, segment[last])) if len(last) else found

    def points(self, places: Tensor) -> Tensor:
        """Values at places (segment, t)."""
        return self.at(places[:, 0].long(), places[:, 1])

    def between(self, places: Tensor) -> Tensor:
        """Values at the places, at the starts and at the ends of their segments: interpolated between the last two."""
        segment, t = places[:, 0].long(), places[:, 1]
        return torch.cat([self.at(segment, at) for at in (t, torch.zeros_like(t), torch.ones_like(t))])

    def along(self, places: Tensor) -> Tensor:
        """Derivatives along the segments at the places."""
        return self.direction.index_select(0, places[:, 0].long())


@dataclass(frozen=True)
class Knots:
    """What is known of every row whatever the layer: the segment it lies on, where, and how surely.

    Attributes:
        segment: ``(R,)`` int64.
        t: ``(R,)`` float64.
        error: Stated bound on the error of ``t``, ``(R,)`` float64.
    """

    segment: Tensor
    t: Tensor
    error: Tensor

    def __len__(self) -> int:
        return len(self.t)

    def joined(self) -> Tensor:
        """Whether rows k and k + 1 bound an interval of one segment, ``(R - 1,)``."""
        return self.segment[1:] == self.segment[:-1]

    def inner(self) -> Tensor:
        """Whether a row lies between two others of its segment, ``(R,)``."""
        joined = self.joined()
        found = torch.zeros(len(self), dtype=torch.bool, device=joined.device)
        found[1:-1] = joined[1:] & joined[:-1]
        return found

    def one_segment(self) -> bool:
        """Whether all rows lie on one segment."""
        return bool(self.segment[0] == self.segment[-1])

    def places(self, row: Tensor) -> Tensor:
        """Segments and positions of rows, ``(n, 2)``."""
        return torch.stack([self.segment[row].double(), self.t[row]], 1)

    def middles(self, row: Tensor) -> Tensor:
        """Segments and positions in the middle between rows and the next ones, ``(n, 2)``."""
        return torch.stack([self.segment[row].double(), torch.lerp(self.t[row], self.t[row + 1], 0.5)], 1)

    def rows(self, first: int, last: int) -> Knots:
        """Rows ``first..last`` (inclusive)."""
        part = slice(first, last + 1)
        return Knots(self.segment[part], self.t[part], self.error[part])


@dataclass(frozen=True)
class Stored:
    """A live value with the rows it was made with; ``grid`` is None while they are the present ones."""

    values: Tensor
    grid: int | None


@dataclass
class Item:
    """A run of neighbouring knots waiting at one instruction, with every value that is still to be read.

    Attributes:
        at: Index of the next instruction.
        knots: The rows.
        stored: Live values by slot.
        grids: The grids they refer to.
        flips: Flips found so far at these rows, ``(F, 5)`` int64 (row, operation, unit, before, after), or None.
    """

    at: int
    knots: Knots
    stored: dict[str, Stored]
    grids: dict[int, Grid]
    flips: Tensor | None

    @property
    def continues(self) -> bool:
        """Whether the first row is a knot inside a segment, shared with the run before."""
        return bool(self.knots.t[0] > 0)

    def read(self, slot: str, lines: dict[str, Line]) -> Tensor:
        """The value of a slot at the present rows; refined and kept so."""
        held = self.stored.get(slot)
        if held is None:
            held = Stored(lines[slot].at(self.knots.segment, self.knots.t), None)
        elif held.grid is not None:
            held = Stored(self.grids[held.grid].interpolate(held.values), None)
        self.stored[slot] = held
        return held.values

    def free(self, slots: tuple[str, ...]) -> None:
        """Forget values that nobody reads any more."""
        for slot in slots:
            self.stored.pop(slot, None)

    def refined(self, grid: Grid, at: int) -> Item:
        """The same live values seen from inserted rows; their knots and flips are the caller's to set."""
        grids = {key: old.refined_by(grid) for key, old in self.grids.items()}
        fresh = max(grids, default=-1) + 1
        grids[fresh] = grid
        stored = {slot: replace(held, grid=fresh) if held.grid is None else held for slot, held in self.stored.items()}
        used = {held.grid for held in stored.values()}
        return Item(at, self.knots, stored, {key: grids[key] for key in grids if key in used}, self.flips)

    def part(self, first: int, last: int) -> Item:
        """Rows ``first..last`` (inclusive): views of what they need."""
        grids, ranges = {}, {}
        for key, grid in self.grids.items():
            grids[key], low, high = grid.rows(first, last)
            ranges[key] = slice(low, high)
        stored = {slot: Stored(held.values[ranges[held.grid]], held.grid) for slot, held in self.stored.items()
                  if held.grid is not None}  # fmt: skip
        return Item(self.at, self.knots.rows(first, last), stored, grids, None)


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
