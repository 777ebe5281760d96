"""One bending operation at one run of rows: what crosses, what flips, and which rows are to be inserted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transect.engine.crossings import Crossings, Doubt, Snaps, Touches, bounds_nearby, find_crossings, in_order
from transect.engine.pieces import HingePieces, IntervalPieces
from transect.engine.rounding import Tolerance
from transect.engine.rows import Grid, Knots
from transect.rules import Hinge


@dataclass(frozen=True)
class NewRows:
    """Rows to insert, ordered by (row, weight).

    Attributes:
        row: Row at their left, ``(N,)``.
        weight: Position between row and row + 1, ``(N,)``.
        error: Bound, for merging, on the distance of the weight from where any member truly crosses, ``(N,)``.
        group: For every crossing, which of them it belongs to, ``(C,)``.
        doubts: Crossings whose order, or whose number of knots, rounding could not decide.
    """

    row: Tensor
    weight: Tensor
    error: Tensor
    group: Tensor
    doubts: tuple[Doubt, ...]


def looked_at_closely(found: Crossings, knots: Knots, tolerance: Tolerance) -> Crossings:
    """The same crossings; where two seem too close to be told apart, their errors come from the values nearby."""
    close = not_told_apart(found)
    if not bool(close.any()):
        return found
    error = found.error.clone()
    error[close] = bounds_nearby(found.only(close), knots, tolerance)[2]
    return replace(found, error=error)


def not_told_apart(found: Crossings) -> Tensor:
    """Which crossings are not told from a neighbour, ``(C,)``; they are ordered by (row, weight)."""
    if len(found.row) == 0:
        return torch.zeros_like(found.row, dtype=torch.bool)
    together, pad = ~_apart(found), torch.nn.functional.pad
    return pad(together, (1, 0)) | pad(together, (0, 1))


def _apart(found: Crossings) -> Tensor:
    """Whether each crossing is told from the next, ``(C - 1,)``."""
    return (found.row[1:] != found.row[:-1]) | (found.weight.diff() > found.error[1:] + found.error[:-1])


def merge(found: Crossings) -> NewRows:
    """Group crossings of one interval that lie within their errors of one another.

    Each group is placed where its surest member crosses: there every member is within its own rounding of its
    threshold. Chains of crossings that no single place serves are cut greedily, surest first, and reported.
    """
    if len(found.row) == 0:
        return NewRows(found.row, found.weight, found.error, found.row, ())
    apart = _apart(found)
    group = torch.nn.functional.pad(apart, (1, 0), value=False).long().cumsum(0)
    if bool(apart.all()):
        return NewRows(found.row, found.weight, found.error, group, ())
    group, doubts = _cut_wide_groups(found, group)
    lead = _surest(found.error, group)
    reach = found.error + (found.weight - found.weight[lead][group]).abs()
    error = torch.zeros_like(found.error[lead]).scatter_reduce_(0, group, reach, "amax")
    return NewRows(found.row[lead], found.weight[lead], error, group, doubts)


def _surest(error: Tensor, group: Tensor) -> Tensor:
    """Index of the member with the smallest error in every group; groups are numbered 0, 1, ... in order."""
    order = torch.argsort(error, stable=True)
    order = order[torch.argsort(group[order], stable=True)]
    first = torch.nn.functional.pad(group[order].diff() != 0, (1, 0), value=True)
    return order[first]


def _cut_wide_groups(found: Crossings, group: Tensor) -> tuple[Tensor, tuple[Doubt, ...]]:
    lead = _surest(found.error, group)
    far = (found.weight - found.weight[lead][group]).abs() > found.error + found.error[lead][group]
    if not bool(far.any()):
        return group, ()
    wide = torch.isin(group, group[far].unique())
    cut = group.clone() * len(group)  # room for the parts of each group
    for number in group[far].unique().tolist():
        members = (group == number).nonzero().squeeze(1)
        cut[members] += _greedy(found.weight[members], found.error[members])
    _, renumbered = cut.unique(return_inverse=True)
    reason = "crossings closer than their rounding that no single knot serves: their order is not decided"
    return renumbered, (Doubt(found.row[wide], found.unit[wide], reason),)


def _greedy(weight: Tensor, error: Tensor) -> Tensor:
    """Parts of one chain, numbered in order: the surest member takes every neighbour within reach, and so on."""
    part = torch.full_like(weight, -1, dtype=torch.int64)
    for index in torch.argsort(error, stable=True).tolist():
        if part[index] < 0:
            within = (weight - weight[index]).abs() <= error + error[index]
            part[within & (part < 0)] = index
    position = torch.zeros_like(weight)
    for index in part.unique().tolist():
        position[part == index] = weight[index]
    return position.unique(return_inverse=True)[1]


@dataclass(frozen=True)
class Bending:
    """What a bending operation does to the rows ``R``, which become ``F`` rows.

    Attributes:
        grid: Place of every final row among the old ones.
        knots: The final rows.
        member_row: Final row at which a crossing unit is exactly at its threshold, ``(C,)``, ascending.
        member_unit: The unit, ``(C,)``.
        member_threshold: Index of the threshold, ``(C,)``.
        flips: Changes at these rows, ``(n, 4)``: final row, unit, piece before, piece after; ordered by row.
        moved: Final position of every old row, ``(R,)``.
        pieces: Pieces of every unit on the intervals between the old rows.
        doubts: What rounding could not decide; rows are final rows.
    """

    grid: Grid
    knots: Knots
    member_row: Tensor
    member_unit: Tensor
    member_threshold: Tensor
    flips: Tensor
    moved: Tensor
    pieces: IntervalPieces
    doubts: tuple[Doubt, ...]


def bend_rows(hinge: Hinge, z: Tensor, knots: Knots, tolerance: Tolerance) -> Bending:
    """Find everything at a unit-wise operation at once; ``z`` is ``(R, units)`` and may be snapped in place."""
    found = [find_crossings(z, threshold, knots, tolerance) for threshold in _flat(hinge, z)]
    pooled, which = _pool(found)
    pooled = looked_at_closely(pooled, knots, tolerance)
    rows = merge(pooled)
    if bool((rows.group.diff() < 0).any()):  # parts of a chain that was cut can lie within one another
        order = torch.argsort(rows.group, stable=True)
        pooled, which, rows = pooled.only(order), which[order], replace(rows, group=rows.group[order])
    grid, moved, place = insert(len(knots), rows.row, rows.weight)
    snaps = [part.snaps for part in found if part.snaps is not None]
    final = insert_knots(knots, grid, place, tolerance.stated * rows.error, snaps)
    flips = _crossing_flips(pooled, which, place[rows.group])
    if touched := _touch_flips(found, knots, moved):
        flips = torch.cat([flips, *touched])
        flips = flips[torch.argsort(flips[:, 0], stable=True)]
    if len(found) > 1:
        flips = joined_flips(_piece_by_piece(flips))
    doubts = tuple(Doubt(moved[d.row], d.unit, d.reason) for part in found for d in part.doubts)
    doubts += tuple(Doubt(moved[d.row], d.unit, d.reason) for d in rows.doubts)
    return Bending(
        grid, final, place[rows.group], pooled.unit, which, flips, moved, HingePieces(found, z.shape[1]), doubts
    )


def _flat(hinge: Hinge, z: Tensor) -> list[float | Tensor]:
    """Thresholds as numbers, or as one number a unit."""
    return [t.reshape(-1).expand(z.shape[1]) if isinstance(t, Tensor) else t for t in hinge.thresholds]


def _pool(found: list[Crossings]) -> tuple[Crossings, Tensor]:
    """The crossings of all thresholds in one list, ordered by (row, weight), and the threshold of each."""
    which = torch.cat([torch.full_like(part.row, index) for index, part in enumerate(found)])
    if len(found) == 1:
        return found[0], which
    names = ("row", "unit", "weight", "slope", "error", "rising")
    row, unit, weight, slope, error, rising = (torch.cat([getattr(part, name) for part in found]) for name in names)
    order = in_order(row, weight)
    return Crossings(found[0].side, row, unit, weight, slope, error, rising).only(order), which[order]


def insert(rows: int, row: Tensor, weight: Tensor) -> tuple[Grid, Tensor, Tensor]:
    """The grid of old and new rows in order, the final positions of the old rows, and those of the new ones."""
    old = torch.arange(rows, device=row.device)
    moved = old + torch.searchsorted(row, old)  # as many new rows lie left of each old one
    place = torch.arange(len(row), device=row.device) + row + 1
    parent = torch.empty(rows + len(row), dtype=torch.int64, device=row.device)
    parent[moved], parent[place] = old, row
    weights = torch.zeros(len(parent), dtype=torch.float64, device=row.device)
    weights[place] = weight
    return Grid(parent, weights), moved, place


def insert_knots(knots: Knots, grid: Grid, place: Tensor, stated: Tensor, snaps: Sequence[Snaps]) -> Knots:
    """The final knots: new ones with the error ``stated``, old ones with that of what was snapped to them."""
    error = knots.error
    for part in snaps:
        error = error.scatter_reduce(0, part.row, part.error, "amax")
    row = grid.parent[place]
    length = knots.t.diff()[row]
    t, error = knots.t[grid.parent], error[grid.parent]
    t[place] += grid.weight[place] * length
    error[place] = stated * length
    return Knots(knots.segment[grid.parent], t, error)


def _crossing_flips(pooled: Crossings, which: Tensor, final_row: Tensor) -> Tensor:
    rising = pooled.rising.long()
    return torch.stack([final_row, pooled.unit, which + 1 - rising, which + rising], 1)


def _piece_by_piece(flips: Tensor) -> Tensor:
    """Ordered by row, and at one row upwards where units rise and downwards where they fall, whatever rounding says."""
    before, after = flips[:, 2], flips[:, 3]
    flips = flips[torch.argsort(torch.where(after > before, before, -before), stable=True)]
    return flips[torch.argsort(flips[:, 0], stable=True)]


def joined_flips(flips: Tensor) -> Tensor:
    """Several flips of one unit at one row, in the order in which they happen, become one (none, if it comes back)."""
    if len(flips) == 0:
        return flips
    key = flips[:, 0] * (int(flips[:, 1].max()) + 1) + flips[:, 1]
    order = torch.argsort(key, stable=True)
    key, flips = key[order], flips[order]
    new = torch.nn.functional.pad(key.diff() != 0, (1, 0), value=True)
    old = torch.nn.functional.pad(key.diff() != 0, (0, 1), value=True)
    result = torch.cat([flips[new][:, :3], flips[old][:, 3:]], 1)
    return result[result[:, 2] != result[:, 3]]


def _touch_flips(found: list[Crossings], knots: Knots, moved: Tensor) -> list[Tensor]:
    """Units exactly at their threshold at an old row, above it on one side of the row and not on the other."""
    if all(part.touches is None for part in found):
        return []
    inner = knots.inner()
    return [_touch_flips_of(part.touches, index, inner, moved)
            for index, part in enumerate(found) if part.touches is not None]  # fmt: skip


def _touch_flips_of(touches: Touches, index: int, inner: Tensor, moved: Tensor) -> Tensor:
    keep = inner[touches.row]
    row, unit, left = touches.row[keep], touches.unit[keep], touches.left[keep]
    key = row * (int(unit.max()) + 1 if len(unit) else 1) + unit
    _, inverse, count = key.unique(return_inverse=True, return_counts=True)
    once = count[inverse] == 1  # above on both sides: it touches and turns back
    row, unit, before = row[once], unit[once], left[once].long()
    return torch.stack([moved[row], unit, index + before, index + 1 - before], 1)
