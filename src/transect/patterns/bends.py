"""What a bending operation is on given pieces: which pieces a point is on, the affine operation there, its borders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from itertools import pairwise

import torch
from torch import Tensor

from transect.engine.envelopes import winning_places
from transect.rules import Affine, Bend, Envelope, Hinge

NONE = -1  # in place of a number


@dataclass(frozen=True)
class Borders:
    """Where one row of pieces ends: inequalities ``number[plus] - number[minus] <= limit`` between what is compared.

    Attributes:
        unit: The unit that each is about, ``(M,)``.
        piece: The piece that the unit is on beyond it, ``(M,)``.
        plus: Index of a number the operation compares, or :data:`NONE` for zero, ``(M,)``.
        minus: Another, ``(M,)``.
        limit: ``(M,)``.
    """

    unit: Tensor
    piece: Tensor
    plus: Tensor
    minus: Tensor
    limit: Tensor

    def __len__(self) -> int:
        return len(self.unit)

    def only(self, chosen: Tensor | slice) -> Borders:
        """Some of them."""
        return Borders(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


@singledispatch
def pieces_at(bend: Bend, x: Tensor) -> Tensor:
    """Piece of every unit at rows ``(R, *shape)``, ``(R, units)``; exactly at a threshold it is not above it."""
    raise NotImplementedError(type(bend).__name__)


@singledispatch
def on_pieces(bend: Bend, pieces: Tensor, row: Tensor) -> Affine:
    """The affine operation that the bending one is where its units are on these pieces, and elsewhere would be.

    Args:
        bend: The bending operation.
        pieces: One row of pieces, ``(units,)``.
        row: One row of its operand, ``(1, *shape)``, all zeros.
    """
    raise NotImplementedError(type(bend).__name__)


@singledispatch
def borders(bend: Bend, pieces: Tensor, row: Tensor) -> Borders:
    """The inequalities that keep every unit on its piece, ordered by unit; arguments as for :func:`on_pieces`."""
    raise NotImplementedError(type(bend).__name__)


@singledispatch
def beyond_rounding(bend: Bend, x: Tensor, row: Tensor, unit: Tensor, piece: Tensor, rounding: Tensor) -> Tensor:
    """How far units are from a piece, less what rounding explains: not above zero where they may be on it.

    Args:
        bend: The bending operation.
        x: Rows, ``(R, *shape)``.
        row: Rows of the units in question, ``(n,)``.
        unit: The units, ``(n,)``.
        piece: A piece of each, ``(n,)``.
        rounding: How far rounding moves each number that is compared, flat.

    Returns:
        ``(n,)`` float64.
    """
    raise NotImplementedError(type(bend).__name__)


@pieces_at.register
def _(bend: Hinge, x: Tensor) -> Tensor:
    above = torch.stack([(x > threshold).reshape(len(x), -1) for threshold in bend.thresholds])
    return above.sum(0, dtype=torch.uint8)


@on_pieces.register
def _(bend: Hinge, pieces: Tensor, row: Tensor) -> Affine:
    """Each piece is the line through two points of it."""
    slope, intercept, pieces = row, row, pieces.reshape(row.shape)
    for piece, (low, high) in enumerate(pairwise([-math.inf, *bend.thresholds, math.inf])):
        left, right, end = _points_between(row + low, row + high)
        left_value, right_value, end_value = bend.apply(torch.cat([left, right, end])).split(1)
        rise = (right_value - left_value) / (right - left)
        slope = torch.where(pieces == piece, rise, slope)
        intercept = torch.where(pieces == piece, end_value - rise * end, intercept)
    return Affine(lambda x: x * slope + intercept, lambda x: x * slope, lambda x: x * slope.square())


def _points_between(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two finite points of each interval, its ends where they are finite; and one that is an end, if any is."""
    beyond = torch.where(high.isfinite(), high - 1 - high.abs(), 0.0)
    left = torch.where(low.isfinite(), low, beyond)
    right = torch.where(high.isfinite(), high, left + 1 + left.abs())
    return left, right, torch.where(low.isfinite(), left, right)


@beyond_rounding.register
def _(bend: Hinge, x: Tensor, row: Tensor, unit: Tensor, piece: Tensor, rounding: Tensor) -> Tensor:
    """The distance from a piece is that from the interval between its two thresholds."""
    z, nothing = bend.flat(x)[row, unit].double(), x.new_zeros((1, *x.shape[1:]))
    ends = torch.stack([(nothing + end).flatten()[unit] for end in (-math.inf, *bend.thresholds, math.inf)]).double()
    low, high = (ends.gather(0, (piece.long() + side).unsqueeze(0)).squeeze(0) for side in (0, 1))
    return torch.maximum(low - z, z - high) - rounding[unit]


@borders.register
def _(bend: Hinge, pieces: Tensor, row: Tensor) -> Borders:
    """Each unit is above the threshold its piece begins with, and not above the one it ends with."""
    found = []
    for index, threshold in enumerate(bend.thresholds):
        limit = (row + threshold).flatten()
        near = limit.isfinite()  # a limit at infinity is no border
        above, below = (((pieces == piece) & near).nonzero().squeeze(1) for piece in (index + 1, index))
        nothing = [torch.full_like(unit, NONE) for unit in (above, below)]
        found.append(Borders(above, torch.full_like(above, index), nothing[0], above, -limit[above]))
        found.append(Borders(below, torch.full_like(below, index + 1), below, nothing[1], limit[below]))
    joined = Borders(*(torch.cat([getattr(part, name) for part in found]) for name in Borders.__dataclass_fields__))
    return joined.only(torch.argsort(joined.unit, stable=True))


@pieces_at.register
def _(bend: Envelope, x: Tensor) -> Tensor:
    return winning_places(bend.windows.to(x.device), bend.winners(x)).flatten(1)


@on_pieces.register
def _(bend: Envelope, pieces: Tensor, row: Tensor) -> Affine:
    """The winner of every window, whether it is the largest or not."""
    windows, made = bend.windows.to(row.device), bend.apply(row.clone()).shape[1:]
    place = pieces.long().reshape(-1, len(windows), 1)
    position = windows.expand(len(place), -1, -1).gather(2, place).squeeze(2)

    def winners(x: Tensor) -> Tensor:
        return bend.arrange(x).gather(2, position.expand(len(x), -1, -1)).reshape(len(x), *made)

    return Affine.selecting(winners)


@beyond_rounding.register
def _(bend: Envelope, x: Tensor, row: Tensor, unit: Tensor, piece: Tensor, rounding: Tensor) -> Tensor:
    """The distance from a place is by how much the largest number of the window exceeds the one there."""
    windows, positions = bend.windows.to(x.device), bend.arrange(x).shape[2]
    channel, window = unit // len(windows), windows[unit % len(windows)]
    largest = bend.winners(x).flatten(1)[row, unit]
    there, most = (channel * positions + at for at in (window.gather(1, piece.long().unsqueeze(1)).squeeze(1), largest))
    numbers = bend.flat(x)
    return (numbers[row, most] - numbers[row, there]).double() - rounding[most] - rounding[there]


@borders.register
def _(bend: Envelope, pieces: Tensor, row: Tensor) -> Borders:
    """No other number of the window is larger than the winner."""
    windows, (_, channels, positions) = bend.windows.to(row.device), bend.arrange(row).shape
    number = windows + positions * torch.arange(channels, device=row.device).reshape(-1, 1, 1)
    number, winner = number.flatten(0, 1), pieces.long().unsqueeze(1)
    there = (windows >= 0).repeat(channels, 1).scatter(1, winner, False)
    unit, place = there.nonzero(as_tuple=True)
    limit = torch.zeros(len(unit), dtype=row.dtype, device=row.device)
    return Borders(unit, place, number[unit, place], number.gather(1, winner).squeeze(1)[unit], limit)
