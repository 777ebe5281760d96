"""Rows of live values: neighbouring knots on their way through the network, refined only when they are read.

A bending operation inserts rows between its own. The other live values (residual branches) do not follow at once: each
keeps the rows it was made with, and a *grid* that says where the present rows lie among them. Grids compose, so a value
is interpolated once, when it is next read, however many operations have inserted rows since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
