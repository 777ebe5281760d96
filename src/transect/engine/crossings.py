"""Where the pieces of a bending operation meet between the rows, and which of these points rounding cannot tell apart.

Values are compared with a threshold and signs are compared, never multiplied. A crossing is made only where the two
ends of an interval lie strictly on opposite sides. Before that, values within their own rounding of the threshold are
set to it exactly (*snapped*), so that a crossing at an existing knot becomes a change at that knot and no new one.
Crossings within one interval that are closer than their own errors are merged into one knot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from transect.engine.rounding import Tolerance
from transect.engine.rows import Knots
from transect.errors import at_most
from transect.rules.base import as_held

_WORD = 8  # booleans are compared eight at a time, as one int64


def above(z: Tensor, threshold: float | Tensor, *, or_at: bool = False) -> Tensor:
    """Whether each value is above its threshold (``or_at`` it), ``(R, U)`` bool, in rows padded to whole words."""
    rows, units = z.shape
    padded = torch.zeros if units % _WORD else torch.empty
    buffer = padded((rows, -(-units // _WORD) * _WORD), dtype=torch.bool, device=z.device)
    if z.device.type == "cpu":  # NumPy compares whole vectors of the processor, PyTorch one number after the other
        limit = threshold.numpy() if isinstance(threshold, Tensor) else threshold
        compare = np.greater_equal if or_at else np.greater
        compare(z.numpy(), limit, out=buffer.numpy()[:, :units])
    else:
        (torch.ge if or_at else torch.gt)(z, threshold, out=buffer[:, :units])
    return buffer


def changes(side: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
    """Rows k and units u with ``side[k, u] != side[k + 1, u]`` where rows k and k + 1 are joined; ordered by (k, u)."""
    words = side.view(torch.int64)
    differ = words[1:] ^ words[:-1]
    row, word = differ.nonzero(as_tuple=True)
    inside = joined[row]
    row, word = row[inside], word[inside]
    found, byte = differ[row, word].view(torch.uint8).reshape(-1, _WORD).nonzero(as_tuple=True)
    return row[found], word[found] * _WORD + byte


T_ULPS = 64 * torch.finfo(torch.float64).eps  # positions closer than this on [0, 1] are one, whatever the values say
SUBNORMAL = "its values are in the subnormal range, where rounding is not relative"
_FLAT = "within rounding of its threshold over a whole interval"


@dataclass(frozen=True)
class Doubt:
    """Entries of ``trace.unresolved`` found at one bending operation: which row's interval, which unit, and why."""

    row: Tensor
    unit: Tensor
    reason: str


@dataclass(frozen=True)
class Touches:
    """Units exactly at their threshold at a row, beside an interval on which they are above it.

    Attributes:
        row: The row, ``(T,)``.
        unit: The unit, ``(T,)``.
        left: Whether that interval is the one left of the row, ``(T,)``.
    """

    row: Tensor
    unit: Tensor
    left: Tensor


@dataclass(frozen=True)
class Snaps:
    """Units set to their threshold at a row, because rounding could not tell them from it.

    Attributes:
        row: The row, ``(S,)``.
        error: How far from that row, in t, the unit may truly cross, ``(S,)``.
    """

    row: Tensor
    error: Tensor


@dataclass(frozen=True)
class Crossings:
    """What one threshold of a bending operation finds between the rows.

    Attributes:
        side: Whether each value is above the threshold, padded to whole words, ``(R, P)``.
        row: Row at the left of the interval a unit crosses in, ``(C,)``, ordered by (row, weight).
        unit: The unit, ``(C,)``.
        weight: Position between row and row + 1, in (0, 1), ``(C,)``.
        slope: Change of the unit from row to row + 1, without sign, ``(C,)``.
        error: Bound on the error of the weight for merging, ``(C,)``.
        rising: Whether the unit goes from below the threshold to above, ``(C,)``.
        touches: Units at their threshold at a row; None where there is none.
        snaps: Units set to it; None where there is none.
        doubts: What rounding could not decide.
    """

    side: Tensor
    row: Tensor
    unit: Tensor
    weight: Tensor
    slope: Tensor
    error: Tensor
    rising: Tensor
    touches: Touches | None = None
    snaps: Snaps | None = None
    doubts: tuple[Doubt, ...] = ()

    def only(self, chosen: Tensor) -> Crossings:
        """Some of the crossings, in the order given."""
        names = ("row", "unit", "weight", "slope", "error", "rising")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})


@dataclass(frozen=True)
class _Candidates:
    """Units above their threshold at one end of an interval and not at the other."""

    row: Tensor
    unit: Tensor
    left: Tensor  # distance from the threshold at row; zero exactly for a touch
    right: Tensor  # distance at row + 1; not 1 - weight, which rounds to zero where this is merely small
    left_bound: Tensor  # distances below this are rounding
    right_bound: Tensor
    slope: Tensor  # change from row to row + 1
    weight: Tensor  # where between the two the threshold lies
    error: Tensor  # of the weight, for merging
    rising: Tensor

    def only(self, chosen: Tensor) -> _Candidates:
        return _Candidates(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def within(self) -> Tensor:
        """Which have an end that is not at the threshold, and that rounding cannot tell from it."""
        reach = self.error * self.slope
        left = (self.left > 0) & ((self.left <= self.left_bound) | (self.left <= reach))
        return left | (self.right > 0) & ((self.right <= self.right_bound) | (self.right <= reach))


def find_crossings(z: Tensor, threshold: float | Tensor, knots: Knots, tolerance: Tolerance) -> Crossings:
    """Snap ``z`` to its threshold where rounding cannot tell them apart, then list the strict crossings and touches.

    Args:
        z: Values at the rows, ``(R, U)``; entries may be set to their threshold.
        threshold: Where the pieces meet: a number or one number a unit, ``(U,)``, as the dtype of ``z`` has it.
        knots: The rows.
        tolerance: Rounding of the units.
    """
    side, doubts = _settle_noise(z, threshold, knots, tolerance)
    found = _candidates(z, side, threshold, knots, tolerance)
    snapped: list[Snaps] = []
    # A unit's round sets one of its rows to the threshold at least, where it stays: a round for every row is enough.
    for _ in at_most(len(knots) + 1, "crossings of one bending operation"):
        near = found.within() | _subnormal(found, z.dtype)
        if not bool(near.any()):
            break
        looked = _from_nearby(found.only(near), knots, tolerance)
        found.error[near] = looked.error
        snaps, doubtful = _snap(z, threshold, looked, knots, tolerance)
        doubts += doubtful
        if snaps is None:
            break
        snapped.append(snaps)  # which can leave the next interval within rounding over its whole length
        side = above(z, threshold)
        found = _candidates(z, side, threshold, knots, tolerance)
    touching = (found.left == 0) | (found.right == 0)
    if not snapped and not bool(touching.any()):
        return replace(_ordered(side, found, knots), doubts=doubts)
    crossings = _ordered(side, found.only(~touching), knots)
    return replace(crossings, touches=_touches(found.only(touching)), snaps=_joined(snapped), doubts=doubts)


def _settle_noise(
    z: Tensor, threshold: float | Tensor, knots: Knots, tolerance: Tolerance
) -> tuple[Tensor, tuple[Doubt, ...]]:
    """Name units within rounding of their threshold, on either side or at it, all along an interval.

    Those above it at both ends are set to it there. Also returns which values are above their threshold after that.
    """
    if not isinstance(threshold, Tensor):
        beyond = above(z, as_held(threshold + tolerance.most, z.dtype))
        if _same(beyond, above(z, as_held(threshold - tolerance.most, z.dtype), or_at=True)):
            return beyond, ()  # no value is so close that any unit's rounding could be meant
    side, suspects = above(z, threshold), tolerance.suspects()
    beyond, any_suspect = above(z, (threshold + tolerance.merge).to(z.dtype)), bool(suspects.any())
    if _same(side, beyond) and not any_suspect:
        return side, ()
    within = side & ~beyond
    if any_suspect:
        low = above(z, (threshold - tolerance.merge).to(z.dtype), or_at=True)
        within[:, : z.shape[1]] |= suspects & (low & ~side)[:, : z.shape[1]]
    row, unit = (within[1:] & within[:-1] & knots.joined().unsqueeze(1)).nonzero(as_tuple=True)
    if len(row) == 0:
        return side, ()
    row, unit, rising = _within_rounding(z, threshold, knots, tolerance, row, unit)
    for end in (row[rising], row[rising] + 1):
        _put(z, end, unit[rising], threshold)
        side[end, unit[rising]] = False
    return side, (Doubt(row, unit, _FLAT),) if len(row) else ()


def _within_rounding(
    z: Tensor, threshold: float | Tensor, knots: Knots, tolerance: Tolerance, row: Tensor, unit: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of intervals and units those that rounding hides, and which of these are above their threshold at both ends.

    Units at it or below are hidden if they truly move: real zeros do not. Those on two sides are told of elsewhere.
    """
    shift = threshold[unit].double() if isinstance(threshold, Tensor) else threshold
    left, right = z[row, unit].double() - shift, z[row + 1, unit].double() - shift
    rising, hidden = (left > 0) & (right > 0), left.sign() * right.sign() >= 0
    near = (hidden & ((left != 0) | (right != 0))).nonzero().squeeze(1)  # exact zeros need no bound: they move or not
    for end, distance in ((row[near], left[near]), (row[near] + 1, right[near])):
        hidden[near] &= distance.abs() <= tolerance.nearby(knots.places(end), unit[near])
    asked = (hidden & ~rising).nonzero().squeeze(1)
    if len(asked):
        hidden[asked] = tolerance.moves(knots.middles(row[asked]), unit[asked])
    return row[hidden], unit[hidden], rising[hidden]


def _same(side: Tensor, other: Tensor) -> bool:
    return torch.equal(side.view(torch.int64), other.view(torch.int64))  # eight at a time


def _put(z: Tensor, row: Tensor, unit: Tensor, threshold: float | Tensor) -> None:
    z[row, unit] = threshold[unit].to(z.dtype) if isinstance(threshold, Tensor) else threshold


def _subnormal(found: _Candidates, dtype: torch.dtype) -> Tensor:
    return found.slope < torch.finfo(dtype).tiny / torch.finfo(dtype).eps


def _from_nearby(found: _Candidates, knots: Knots, tolerance: Tolerance) -> _Candidates:
    """The same candidates, their rounding worked out from the values at the ends of their own intervals."""
    left, right, error = bounds_nearby(found, knots, tolerance)
    return replace(found, left_bound=left, right_bound=right, error=error)


def bounds_nearby(found: _Candidates | Crossings, knots: Knots, tolerance: Tolerance) -> tuple[Tensor, Tensor, Tensor]:
    """Rounding of crossing units at both ends of their intervals, from the values there, and the weights' errors."""
    ends = torch.cat([found.row, found.row + 1])
    left, right = tolerance.nearby(knots.places(ends), found.unit.repeat(2)).chunk(2)
    return left, right, _weight_error(torch.lerp(left, right, found.weight), found.slope, knots, found.row)


def _weight_error(bound: Tensor, slope: Tensor, knots: Knots, row: Tensor) -> Tensor:
    """Error of a crossing's weight from the rounding of the unit and from that of positions."""
    return torch.maximum(bound / slope, T_ULPS / knots.t.diff()[row])


def _joined(snapped: list[Snaps]) -> Snaps | None:
    if not snapped:
        return None
    return Snaps(torch.cat([part.row for part in snapped]), torch.cat([part.error for part in snapped]))


def _candidates(z: Tensor, side: Tensor, threshold: float | Tensor, knots: Knots, tolerance: Tolerance) -> _Candidates:
    row, unit = changes(side, knots.joined())
    flat, values = row * z.shape[1] + unit, z.reshape(-1)
    left, right = values[flat].double(), values[flat + z.shape[1]].double()
    shift = threshold[unit].double() if isinstance(threshold, Tensor) else threshold
    rising = right > left
    left, right = (left - shift).abs(), (right - shift).abs()
    slope = left + right  # the ends lie on different sides
    bound = tolerance.merge[unit]
    error = _weight_error(bound, slope, knots, row)
    return _Candidates(row, unit, left, right, bound, bound, slope, left / slope, error, rising)


def _ordered(side: Tensor, found: _Candidates, knots: Knots) -> Crossings:
    found = found.only(_order(found.row, found.weight, knots))
    return Crossings(side, found.row, found.unit, found.weight, found.slope, found.error, found.rising)


def _order(row: Tensor, weight: Tensor, knots: Knots) -> Tensor:
    """Order by (row, weight); exact up to what is merged anyway."""
    if knots.one_segment():
        return torch.argsort(knots.t[row] + weight * knots.t.diff()[row], stable=True)
    return in_order(row, weight)


def in_order(row: Tensor, weight: Tensor) -> Tensor:
    """The order of places by (row, weight)."""
    order = torch.argsort(weight, stable=True)
    return order[torch.argsort(row[order], stable=True)]


def _touches(touching: _Candidates) -> Touches:
    at_right = touching.right == 0
    return Touches(touching.row + at_right.long(), touching.unit, at_right)


def _snap(
    z: Tensor, threshold: float | Tensor, found: _Candidates, knots: Knots, tolerance: Tolerance
) -> tuple[Snaps | None, tuple[Doubt, ...]]:
    """Set ends of crossing intervals to the threshold where their distance, or their position's, is rounding.

    A unit exactly at its threshold at one end of an interval and within rounding of it at the other is at it all along.
    """
    doubts = _subnormal_doubts(found, z.dtype)
    left, right, reach = found.left, found.right, found.error * found.slope
    strict = (left > 0) & (right > 0)
    far_left, far_right = left > found.left_bound, right > found.right_bound
    near_left = (left > 0) & (~far_left | (strict & (left <= reach) & (left <= right) & far_right))
    near_right = (right > 0) & (~far_right | (strict & (right <= reach) & (right < left) & far_left))
    rows = torch.cat([found.row[near_left], found.row[near_right] + 1])
    if len(rows) == 0:
        return None, doubts
    units = torch.cat([found.unit[near_left], found.unit[near_right]])
    _put(z, rows, units, threshold)
    distance = (torch.minimum(left, right) / found.slope + tolerance.stated * found.error) * knots.t.diff()[found.row]
    snaps = Snaps(rows, torch.cat([distance[near_left], distance[near_right]]))
    return snaps, doubts + _snapping_doubts(found, near_left & strict, near_right & strict)


def _snapping_doubts(close: _Candidates, near_left: Tensor, near_right: Tensor) -> tuple[Doubt, ...]:
    """Units within rounding over a whole interval, and units snapped at one row from both sides."""
    flat = near_left & near_right
    doubts = [Doubt(close.row[flat], close.unit[flat], _FLAT)]
    units = int(close.unit.max()) + 1
    only_left, only_right = near_left & ~flat, near_right & ~flat
    left_keys = close.row[only_left] * units + close.unit[only_left]
    right_keys = (close.row[only_right] + 1) * units + close.unit[only_right]
    twice = left_keys[torch.isin(left_keys, right_keys)]
    doubts.append(Doubt(twice // units, twice % units, "two crossings of one unit within their rounding of one knot"))
    return tuple(doubt for doubt in doubts if len(doubt.row))


def _subnormal_doubts(found: _Candidates, dtype: torch.dtype) -> tuple[Doubt, ...]:
    small = _subnormal(found, dtype)
    if not bool(small.any()):
        return ()
    return (Doubt(found.row[small], found.unit[small], SUBNORMAL),)
