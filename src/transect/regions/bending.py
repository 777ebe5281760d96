"""One bending operation at one run of rows: what crosses, what flips, and which rows are to be inserted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transect.regions.crossings import Crossings, Doubt, Snaps, Touches, find_crossings, in_order
from transect.regions.merging import looked_at_closely, merge
from transect.regions.pieces import HingePieces, IntervalPieces
from transect.regions.rounding import Tolerance
from transect.regions.rows import Grid, Knots
from transect.rules import Hinge


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
