"""Activation patterns at the borders of runs and segments.

A pattern belongs to an open interval. Inside a run both intervals beside a knot are seen at once; at a knot shared by
two runs, at an anchor shared by two segments, and for the pattern a segment starts with, the pieces of every unit on
the neighbouring interval are kept here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from transect.engine.crossings import Crossings


class IntervalPieces(Protocol):
    """Pieces of every unit of a bending operation on the intervals between its rows, before any is inserted."""

    def beside(self, rows: Tensor, *, after: bool) -> Tensor:
        """On the open interval right (``after``) or left of each row, ``(len(rows), units)``.

        The rows are distinct, and each has an interval on that side.
        """

    def at_border(self, *, last: bool) -> Tensor:
        """On the first, or the last, open interval of the run, ``(units,)``."""


@dataclass(frozen=True)
class HingePieces:
    """Pieces of a unit-wise operation: the number of thresholds a unit is above.

    Attributes:
        found: What each threshold finds between the rows.
        units: Number of units.
    """

    found: Sequence[Crossings]
    units: int

    def beside(self, rows: Tensor, *, after: bool) -> Tensor:
        """See :class:`IntervalPieces`."""
        return _pieces([_above_beside(part, rows, after)[:, : self.units] for part in self.found])

    def at_border(self, *, last: bool) -> Tensor:
        """See :class:`IntervalPieces`."""
        return _pieces([_above_at_border(part, last)[: self.units] for part in self.found])


def _pieces(above: list[Tensor]) -> Tensor:
    counted = [part.view(torch.uint8) for part in above]
    return counted[0] if len(counted) == 1 else torch.stack(counted).sum(0, dtype=torch.uint8)


def _above_at_border(part: Crossings, last: bool) -> Tensor:
    interval = len(part.side) - 2 if last else 0
    row = interval + last
    result = part.side[interval] | part.side[interval + 1]
    unit = part.unit[part.row == interval]
    result[unit] = part.side[row, unit]
    return result


def _above_beside(part: Crossings, rows: Tensor, after: bool) -> Tensor:
    """A unit is above on an open interval iff it is at either end; one that crosses within, iff it is at this row."""
    interval = rows if after else rows - 1
    result = part.side[interval] | part.side[interval + 1]
    position = torch.full((len(part.side),), -1, dtype=torch.int64, device=rows.device)
    position[interval] = torch.arange(len(rows), device=rows.device)
    at = position[part.row]
    unit, at = part.unit[at >= 0], at[at >= 0]
    result[at, unit] = part.side[rows[at], unit]
    return result


@dataclass
class PieceLog:
    """Pieces at borders, one entry a bending operation.

    Attributes:
        carry: Pieces on the last open interval the engine has finished at each operation, ``(units,)``.
        start: Pieces on the first open interval of each segment of the pack, ``(segments, units)``.
        end: Pieces on the last one.
    """

    carry: list[Tensor | None]
    start: list[Tensor]
    end: list[Tensor]

    @classmethod
    def empty(cls, segments: int, units: Sequence[int], pieces: Sequence[int], device: torch.device) -> PieceLog:
        """A log of nothing yet, for a pack of segments."""

        def blank() -> list[Tensor]:
            return [
                torch.zeros((segments, n), dtype=torch.uint8 if most <= 256 else torch.int32, device=device)
                for n, most in zip(units, pieces, strict=True)
            ]

        return cls([None] * len(units), blank(), blank())

    def flips_at_border(self, bend: int, first: Tensor) -> Tensor:
        """Flips at the knot a run shares with the run before, ``(n, 4)``: row 0, unit, piece before, piece after."""
        carried = self.carry[bend]
        assert carried is not None, "a run goes on where no run has ended"
        unit = (carried != first).nonzero().squeeze(1)
        if len(unit) == 0:
            return unit.new_empty((0, 4))
        return torch.stack([torch.zeros_like(unit), unit, carried[unit].long(), first[unit].long()], 1)

    def differ(self, ends: Tensor, starts: Tensor) -> Tensor:
        """Whether the pattern at the end of segments ``ends`` differs from that at the start of segments ``starts``."""
        found = torch.zeros(len(ends), dtype=torch.bool, device=ends.device)
        for end, start in zip(self.end, self.start, strict=True):
            found |= (end[ends] != start[starts]).any(1)
        return found
