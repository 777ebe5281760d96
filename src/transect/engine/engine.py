"""The engine: exact restriction of a network to segments, by subdivision layer by layer, in bounded memory.

Rows (knots of one or many segments, in order) go through the network together. A bending operation lists where its
units cross between the rows; the list is cut into runs *before* rows are written, and the runs are finished one after
the other, depth first, so results come out in order of (segment, t) and the live values stay within a budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from transect.engine.bending import Bending, bend_rows
from transect.engine.envelopes import bend_windows
from transect.engine.pieces import PieceLog
from transect.engine.program import Instruction, Program
from transect.engine.rounding import Tolerance
from transect.engine.rows import Item, Knots, Line, Stored
from transect.rules import Affine, Bend, Hinge
from transect.support.memory import recycle_large_blocks

FEWEST_ROWS = 8  # a run repeats one row of the run before: with fewer rows that would cost too much


@dataclass(frozen=True)
class Unresolved:
    """Places where rounding cannot decide what happens; part of ``trace.unresolved``.

    Attributes:
        segment: Segment of each entry, ``(n,)``.
        t: Knot left of it, ``(n,)``.
        unit: Flat index of the unit within the operation, ``(n,)``.
        operation: Index of the bending operation.
        reason: What could not be decided.
    """

    segment: Tensor
    t: Tensor
    unit: Tensor
    operation: int
    reason: str


@dataclass(frozen=True)
class FinishedRun:
    """Rows that have reached the output, with their flips ``(F, 5)``: row, operation, unit, before, after."""

    knots: Knots
    outputs: Tensor
    flips: Tensor | None
    continues: bool


class Engine:
    """One walk along a pack of segments.

    Args:
        program: The compiled network.
        line: The segments in the input space, one row each.
        tolerances: Rounding of every bending operation.
        budget: Most numbers the rows of one run may keep alive.
        keep_flips: Whether the runs list their flips; they are counted in any case.
    """

    def __init__(
        self,
        program: Program,
        line: Line,
        tolerances: tuple[Tolerance, ...],
        budget: int,
        keep_flips: bool,
    ) -> None:
        self._program, self._tolerances = program, tolerances
        self._budget, self._keep_flips = budget, keep_flips
        recycle_large_blocks(line.start.device)
        self._lines = _prefix_lines(program, line)
        self.pieces = PieceLog.empty(len(line.start), program.units, program.pieces, line.start.device)
        self.flips = torch.zeros((len(line.start), len(program.bends)), dtype=torch.int64, device=line.start.device)
        self.unresolved: list[Unresolved] = []

    def runs(self) -> Iterator[FinishedRun]:
        """Finished runs in order of (segment, t); consecutive ones share a row where a segment is cut."""
        work: list[Iterator[Item]] = [iter([self._first_item()])]
        while work:
            item = next(work[-1], None)
            if item is None:
                work.pop()
            elif (children := self._advance(item)) is None:
                outputs = item.read(self._program.output, self._lines).reshape(len(item.knots), -1)
                yield FinishedRun(item.knots, outputs, item.flips, item.continues)
            else:
                del item
                work.append(children)

    def _first_item(self) -> Item:
        segments = len(self.flips)
        device = self.flips.device
        segment = torch.arange(segments, device=device).repeat_interleave(2)
        t = torch.tensor([0.0, 1.0], dtype=torch.float64, device=device).repeat(segments)
        no_flips = torch.empty((0, 5), dtype=torch.int64, device=device) if self._keep_flips else None
        return Item(0, Knots(segment, t, torch.zeros_like(t)), {}, {}, no_flips)

    def _advance(self, item: Item) -> Iterator[Item] | None:
        """Take rows to the next bending operation and through it, or to the output (None)."""
        for instruction in self._program.instructions[item.at :]:
            item.at += 1
            if instruction.in_prefix:
                continue
            operation = instruction.operation
            if not isinstance(operation, Affine):
                return self._bend(item, instruction, operation)
            operands = [item.read(slot, self._lines) for slot in instruction.reads]
            item.stored[instruction.writes] = Stored(operation.value(*operands), None)
            item.free(instruction.frees)
        return None

    def _bend(self, item: Item, instruction: Instruction, bend: Bend) -> Iterator[Item]:
        slot, rows = instruction.reads[0], len(item.knots)
        values, tolerance = item.read(slot, self._lines), self._tolerances[instruction.bend]
        if isinstance(bend, Hinge):
            z = values.reshape(rows, -1)
            bending = bend_rows(bend, z, item.knots, tolerance)
            item.stored[slot] = Stored(z.reshape(rows, *instruction.shape), None)  # as snapped
        else:
            bending = bend_windows(bend, values, item.knots, tolerance)
        flips = self._log(item, bending, instruction.bend)
        refined = item.refined(bending.grid, item.at)
        refined.knots, refined.flips = bending.knots, self._collect(item.flips, flips, bending, instruction.bend)
        return self._parts(refined, bending, instruction, bend)

    def _log(self, item: Item, bending: Bending, bend: int) -> Tensor:
        """Note the pieces at the borders of the run, count its flips, and return them with those at its first row."""
        knots, flips = item.knots, bending.flips
        if item.continues:
            first = bending.pieces.at_border(last=False)
            border = self.pieces.flips_at_border(bend, first)
            flips = torch.cat([border, flips]) if len(border) else flips
        self._log_ends(knots, bending, bend)
        if knots.one_segment():
            self.flips[knots.segment[0], bend] += len(flips)
        else:
            self.flips[:, bend] += torch.bincount(bending.knots.segment[flips[:, 0]], minlength=len(self.flips))
        for doubt in bending.doubts:
            where = bending.knots
            self.unresolved.append(
                Unresolved(where.segment[doubt.row], where.t[doubt.row], doubt.unit, bend, doubt.reason)
            )
        return flips

    def _log_ends(self, knots: Knots, bending: Bending, bend: int) -> None:
        """Keep the pieces beside the run's last knot and beside the ends of its segments."""
        pieces = self.pieces
        if knots.t[-1] < 1:
            pieces.carry[bend] = bending.pieces.at_border(last=True)
        if knots.one_segment() and knots.t[0] > 0 and knots.t[-1] < 1:
            return
        starts, ends = (knots.t == 0).nonzero().squeeze(1), (knots.t == 1).nonzero().squeeze(1)
        pieces.start[bend][knots.segment[starts]] = bending.pieces.beside(starts, after=True)
        pieces.end[bend][knots.segment[ends]] = bending.pieces.beside(ends, after=False)

    def _collect(self, old: Tensor | None, new: Tensor, bending: Bending, bend: int) -> Tensor | None:
        """All flips at the final rows, ordered by row."""
        if old is None:
            return None
        moved = torch.cat([bending.moved[old[:, :1]], old[:, 1:]], 1)
        fresh = torch.cat([new[:, :1], torch.full_like(new[:, :1], bend), new[:, 1:]], 1)
        flips = torch.cat([moved, fresh])
        return flips[torch.argsort(flips[:, 0], stable=True)]

    def _parts(self, refined: Item, bending: Bending, instruction: Instruction, bend: Bend) -> Iterator[Item]:
        """Write the rows, run after run, each when its turn comes."""
        most = max(FEWEST_ROWS, self._budget // max(1, instruction.row_elements))
        *others, final = cut(refined.knots.t, most)
        for first, last in others:
            yield _write_rows(refined, bending, instruction, bend, first, last)
        part = [_write_rows(refined, bending, instruction, bend, *final)]
        del refined, bending  # deep networks do not fit in memory with the rows of every operation
        yield part.pop()


def _write_rows(refined: Item, bending: Bending, instruction: Instruction, bend: Bend, first: int, last: int) -> Item:
    part = refined.part(first, last)
    held = part.stored[instruction.reads[0]]
    assert held.grid is not None
    z = part.grids[held.grid].interpolate(held.values.reshape(len(held.values), -1))
    if isinstance(bend, Hinge):
        members = _within(bending.member_row, first, last, len(refined.knots))
        _set_to_threshold(z, bend, bending, members, first)
    result = bend.apply(z.reshape(len(z), *instruction.shape))
    part.stored[instruction.writes] = Stored(result, None)
    part.free(instruction.frees)
    if refined.flips is not None:
        shared = bool(part.knots.t[0] > 0) and first > 0  # the run before has given the flips at its last row
        rows = _within(refined.flips[:, 0], first + shared, last, len(refined.knots))
        part.flips = refined.flips[rows]
        if first:
            part.flips = part.flips - torch.tensor([first, 0, 0, 0, 0], device=z.device)
    return part


def _within(row: Tensor, first: int, last: int, rows: int) -> slice:
    """Entries of an ascending list of rows that lie in ``first..last``."""
    if first == 0 and last == rows - 1:
        return slice(0, len(row))
    return slice(*torch.searchsorted(row.contiguous(), torch.tensor([first, last + 1], device=row.device)).tolist())


def _set_to_threshold(z: Tensor, hinge: Hinge, bending: Bending, members: slice, first: int) -> None:
    row, unit = bending.member_row[members] - first, bending.member_unit[members]
    if len(hinge.thresholds) == 1 and isinstance(hinge.thresholds[0], float) and hinge.thresholds[0] == 0:
        z[row, unit] = 0.0
        return
    which = bending.member_threshold[members]
    for index, threshold in enumerate(hinge.thresholds):
        chosen = which == index
        flat = torch.as_tensor(threshold, dtype=z.dtype, device=z.device).reshape(-1).expand(z.shape[1])
        z[row[chosen], unit[chosen]] = flat[unit[chosen]]


def cut(t: Tensor, most: int) -> list[tuple[int, int]]:
    """Ranges (first, last) of about ``most`` rows: neighbours share a row inside a segment, and none between two."""
    rows = len(t)
    parts = -(-(rows - 1) // max(1, most - 1))
    if parts <= 1:
        return [(0, rows - 1)]
    borders = [round(index * (rows - 1) / parts) for index in range(1, parts)]
    ranges, first = [], 0
    for border, position in zip(borders, t[borders].tolist(), strict=True):
        last, following = (border - 1, border) if position == 0 else (border, border + (position == 1))
        if last > first:
            ranges.append((first, last))
            first = following
    ranges.append((first, rows - 1))
    return ranges


def _prefix_lines(program: Program, line: Line) -> dict[str, Line]:
    """Values downstream of no bend: one start, one exact direction and one end a segment."""
    lines = {program.input: line}
    for instruction in program.instructions:
        operation = instruction.operation
        if instruction.in_prefix and isinstance(operation, Affine):
            operands = [lines[slot] for slot in instruction.reads]
            lines[instruction.writes] = Line(
                operation.value(*(operand.start for operand in operands)),
                operation.linear(*(operand.direction for operand in operands)),
                operation.value(*(operand.end for operand in operands)),
            )
    return lines
