"""The engine on a plane: a polygon falls into ever smaller ones, layer by layer, in bounded memory.

A group of neighbouring polygons goes through the network together, its vertices as rows. A bending operation lists
where its units cross the edges, cuts the polygons by these lists alone, and the new mesh is divided into compact groups
*before* rows are written; the groups are finished one after the other, depth first. An edge between two groups is a
*seam*: both have it, and what they make of it is joined in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from transect.engine.plane.arrangement import Cut, cut_along
from transect.engine.plane.bending import Bending, Doubt, Touching, bend_polygons
from transect.engine.plane.dissolving import without_false_borders
from transect.engine.plane.mesh import OUTSIDE, Bends, Floats, Ints, Mesh, distinct, numbered, slices, starts_of
from transect.engine.plane.sheet import Sheet
from transect.engine.plane.signs import Thresholds
from transect.engine.plane.windows import WindowBending, bend_windows
from transect.engine.program import Instruction, Program
from transect.engine.rounding import Tolerance
from transect.rules import Affine, Bend, Hinge
from transect.support.memory import recycle_large_blocks

T_ULPS = 64 * float(np.finfo(np.float64).eps)  # positions closer than this, over the size of the domain, are one
FEWEST_ROWS = 64  # the borders of a group are worked out twice: small groups are mostly border


@dataclass(frozen=True)
class Unresolved:
    """Places where rounding cannot decide what happens; part of ``slice.unresolved``.

    Attributes:
        xy: Where, ``(n, 2)``.
        unit: Flat index of the unit within the operation, ``(n,)``.
        operation: Index of the bending operation.
        reason: What could not be decided.
    """

    xy: Floats
    unit: Ints
    operation: int
    reason: str


@dataclass(frozen=True)
class Grid:
    """Where the vertices of a mesh lie among those of an older one.

    Attributes:
        parent: Old polygon of every polygon, ``(F,)``.
        weights: Weights of every corner in the base of its old polygon, ``(H, 3)``.
        base: Old vertices at the base of every old polygon, ``(old, 3)``.
        row: Old vertex that a vertex is, or -1, ``(V,)``.
        corner: A corner at every vertex, ``(V,)``.
    """

    parent: Ints
    weights: Floats
    base: Ints
    row: Ints
    corner: Ints

    def refined_by(self, inner: Grid, mesh: Mesh, base_corner: Ints) -> Grid:
        """Of a mesh that lies, by ``inner``, in the one that this grid places, whose bases are at ``base_corner``."""
        polygon = np.repeat(inner.parent, mesh.degree)
        weights = np.einsum("hi,hij->hj", inner.weights, self.weights[base_corner[polygon]])
        row = np.where(inner.row < 0, -1, self.row[inner.row])
        return Grid(self.parent[inner.parent], weights, self.base, row, inner.corner)

    def interpolate(self, values: Tensor, mesh: Mesh) -> Tensor:
        """Values at the vertices of the mesh; a new tensor."""
        device = values.device
        found = values.index_select(0, torch.from_numpy(np.maximum(self.row, 0)).to(device))
        new = np.flatnonzero(self.row < 0)
        if len(new):
            corner = self.corner[new]
            at = self.base[self.parent[mesh.polygon[corner]]]
            found.index_copy_(0, torch.from_numpy(new).to(device), combined(values, at, self.weights[corner]))
        return found

    def part(self, polygons: Ints, corners: Ints, vertices: Ints, corner: Ints) -> Grid:
        """Of some of the polygons; their corners, vertices, and a corner (of these) at each vertex."""
        return Grid(self.parent[polygons], self.weights[corners], self.base, self.row[vertices], corner)


def combined(values: Tensor, rows: Ints, weights: Floats) -> Tensor:
    """Sums of three rows each with weights, ``(n, 3)`` both."""
    device, shape = values.device, (-1, *(1,) * (values.dim() - 1))
    at = torch.from_numpy(rows).to(device)
    by = torch.from_numpy(weights).to(device=device, dtype=values.dtype)
    found = values.index_select(0, at[:, 0]).mul_(by[:, 0].reshape(shape))
    for place in (1, 2):
        found.addcmul_(values.index_select(0, at[:, place]), by[:, place].reshape(shape))
    return found


@dataclass(frozen=True)
class Stored:
    """A live value with the vertices it was made at; ``grid`` is None while they are the present ones."""

    values: Tensor
    grid: int | None


@dataclass
class Group:
    """Neighbouring polygons waiting at one instruction, with every value that is still to be read.

    Attributes:
        at: Index of the next instruction.
        mesh: The polygons.
        bends: What the labels of their edges mean.
        beside: What the labels beside their seams mean.
        stored: Live values by slot.
        grids: The grids they refer to.
    """

    at: int
    mesh: Mesh
    bends: Bends
    beside: Bends
    stored: dict[str, Stored]
    grids: dict[int, Grid]

    def read(self, slot: str, sheets: dict[str, Sheet]) -> Tensor:
        """The value of a slot at the present vertices; refined and kept so."""
        held = self.stored.get(slot)
        if held is None:
            sheet = sheets[slot]
            held = Stored(sheet.points(torch.from_numpy(self.mesh.xy).to(sheet.centre.device)), None)
        elif held.grid is not None:
            held = Stored(self.grids[held.grid].interpolate(held.values, self.mesh), None)
        self.stored[slot] = held
        return held.values

    def free(self, slots: tuple[str, ...]) -> None:
        """Forget values that nobody reads any more."""
        for slot in slots:
            self.stored.pop(slot, None)


@dataclass(frozen=True)
class FinishedGroup:
    """Polygons that have reached the output, with the outputs at their vertices, ``(V, outputs)``."""

    mesh: Mesh
    bends: Bends
    beside: Bends
    outputs: Tensor


class PlaneEngine:
    """One walk over a domain of a plane.

    Args:
        program: The compiled network.
        sheet: The plane in the input space.
        corners: Corners of the domain, counter-clockwise, ``(K, 2)``.
        tolerances: Rounding of every bending operation.
        budget: Most numbers the rows of one group may keep alive.
    """

    def __init__(
        self, program: Program, sheet: Sheet, corners: Floats, tolerances: tuple[Tolerance, ...], budget: int
    ) -> None:
        self._program, self._tolerances, self._budget = program, tolerances, budget
        recycle_large_blocks(sheet.centre.device)
        self._sheets = _prefix_sheets(program, sheet)
        self._corners = corners
        self._reach = T_ULPS * float(np.abs(corners).max())
        self._seams = 0
        self.unresolved: list[Unresolved] = []

    def groups(self) -> Iterator[FinishedGroup]:
        """Finished groups, one after the other."""
        work: list[Iterator[Group]] = [iter([self._first()])]
        while work:
            group = next(work[-1], None)
            if group is None:
                work.pop()
            elif (children := self._advance(group)) is None:
                outputs = group.read(self._program.output, self._sheets).reshape(len(group.mesh.xy), -1)
                yield FinishedGroup(group.mesh, group.bends, group.beside, outputs)
            else:
                del group
                work.append(children)

    def _first(self) -> Group:
        count = len(self._corners)
        blank = np.full(count, -1, np.int64)
        mesh = Mesh(
            self._corners,
            np.zeros(count),
            np.array([0, count]),
            np.arange(count),
            blank,
            np.full(count, OUTSIDE),
            blank,
        )
        return Group(0, mesh, Bends.empty(), Bends.empty(), {}, {})

    def _advance(self, group: Group) -> Iterator[Group] | None:
        """Take polygons to the next bending operation and through it, or to the output (None)."""
        for instruction in self._program.instructions[group.at :]:
            group.at += 1
            if instruction.in_prefix:
                continue
            operation = instruction.operation
            if not isinstance(operation, Affine):
                return self._bend(group, instruction, operation)
            operands = [group.read(slot, self._sheets) for slot in instruction.reads]
            group.stored[instruction.writes] = Stored(operation.value(*operands), None)
            group.free(instruction.frees)
        return None

    def _bend(self, group: Group, instruction: Instruction, bend: Bend) -> Iterator[Group]:
        slot, mesh = instruction.reads[0], group.mesh
        values, tolerance = group.read(slot, self._sheets), self._tolerances[instruction.bend]
        if isinstance(bend, Hinge):
            z = values.reshape(len(mesh.xy), -1)
            bending = bend_polygons(bend, z, mesh, tolerance, self._reach)
            group.stored[slot] = Stored(z.reshape(len(z), *instruction.shape), None)  # as set to thresholds
        else:
            bending = bend_windows(bend, values, mesh, tolerance, self._reach)
        group = self._with_touches(group, bending, instruction.bend)
        group, cut, bends = self._cut(group, bending, instruction.bend)
        self._note(bending.doubts, instruction.bend)
        return self._parts(group, bending, cut, bends, instruction, bend)

    def _note(self, doubts: list[Doubt], operation: int) -> None:
        for doubt in doubts:
            self.unresolved.append(Unresolved(doubt.xy, doubt.unit, operation, doubt.reason))

    def _with_touches(self, group: Group, bending: Bending, operation: int) -> Group:
        """The group whose edges know what bends at them without cutting anything."""
        if not len(bending.flips.corner) and not len(bending.beside.corner):
            return group  # and the mesh keeps what has been worked out of it
        mesh, bends, beside = _touched(group.mesh, group.bends, group.beside, bending.flips, bending.beside, operation)
        return replace(group, mesh=mesh, bends=bends, beside=beside)

    def _cut(self, group: Group, bending: Bending, operation: int) -> tuple[Group, Cut, Bends]:
        stated = self._tolerances[operation].stated
        cut = cut_along(group.mesh, bending.added, bending.chords, len(group.bends), self._reach, stated)
        unit = bending.unit[cut.chord_of_cut]
        first = len(group.bends)
        new = group.bends.more(np.full(cut.cuts, -1), *_once(cut.cut_of_chord, unit, operation))
        if not isinstance(bending, WindowBending):
            return group, cut, new
        cut, new = without_false_borders(cut, new, first, bending, group.mesh, operation)
        assert bending.ties is not None
        flips, seams = bending.ties.touching(cut)
        mesh, new, beside = _touched(cut.mesh, new, group.beside, flips, seams, operation)
        return replace(group, beside=beside), replace(cut, mesh=mesh), new

    def _parts(
        self, group: Group, bending: Bending, cut: Cut, bends: Bends, instruction: Instruction, bend: Bend
    ) -> Iterator[Group]:
        """Divide the new mesh, and write the rows, group after group, each when its turn comes."""
        grid = _grid_of(group.mesh, cut)
        grids = {key: old.refined_by(grid, cut.mesh, group.mesh.base.corner) for key, old in group.grids.items()}
        fresh = max(grids, default=-1) + 1
        grids[fresh] = grid
        stored = {slot: replace(held, grid=fresh) if held.grid is None else held for slot, held in group.stored.items()}
        used = {held.grid for slot, held in stored.items() if slot not in instruction.frees}
        grids = {key: value for key, value in grids.items() if key in used}
        refined = Group(group.at, cut.mesh, bends, group.beside, stored, grids)
        writer = _Writer(group.mesh, stored[instruction.reads[0]].values, bending, cut, instruction, bend)
        del group
        most = max(FEWEST_ROWS, self._budget // max(1, instruction.row_elements))
        parts = compact_parts(refined.mesh, most)
        if len(parts) > 1:
            refined.mesh = self._with_seams(refined.mesh, parts)
        while parts:
            yield writer.part(refined, parts.pop())

    def _with_seams(self, mesh: Mesh, parts: list[Ints]) -> Mesh:
        """The mesh whose edges between two parts are seams."""
        part = np.empty(mesh.polygons, np.int64)
        for number, polygons in enumerate(parts):
            part[polygons] = number
        edges = mesh.edges
        inner = np.flatnonzero(edges.second >= 0)
        first, second = edges.first[inner], edges.second[inner]
        apart = part[mesh.polygon[first]] != part[mesh.polygon[second]]
        seam = mesh.seam.copy()
        numbers = self._seams + np.arange(int(apart.sum()))
        seam[first[apart]] = seam[second[apart]] = numbers
        self._seams += len(numbers)
        return replace(mesh, seam=seam)


def _touched(
    mesh: Mesh, bends: Bends, beside: Bends, flips: Touching, seams: Touching, operation: int
) -> tuple[Mesh, Bends, Bends]:
    """A mesh whose edges bear labels of what bends there as well, and those labels."""
    edges, edge = mesh.edges, mesh.edges.of_corner[flips.corner]
    bends, labels = _labelled(bends, mesh.bends, replace(flips, corner=edges.first[edge]), operation)
    labels[edges.second[edge]] = labels[edges.first[edge]]  # one list an edge, whichever side it was found from
    beside, besides = _labelled(beside, mesh.beside, seams, operation)
    return replace(mesh, bends=labels, beside=besides), bends, beside


def _labelled(bends: Bends, labels: Ints, touching: Touching, operation: int) -> tuple[Bends, Ints]:
    """New labels, which begin with the old ones, at the corners where something touches."""
    labels = labels.copy()
    if len(touching.corner) == 0:
        return bends, labels
    corner, which = np.unique(touching.corner, return_inverse=True)
    first = len(bends)
    bends = bends.more(labels[corner], which, operation, touching.unit, touching.piece)
    labels[corner] = first + np.arange(len(corner))
    return bends, labels


def _once(label: Ints, unit: Ints, operation: int) -> tuple[Ints, int, Ints]:
    """Every (label, unit) once."""
    if len(label) == 0:
        return label, operation, unit
    key = distinct(label * (int(unit.max()) + 1) + unit)
    label, unit = np.divmod(key, int(unit.max()) + 1)
    return label, operation, unit


def _grid_of(mesh: Mesh, cut: Cut) -> Grid:
    vertices = len(cut.mesh.xy)
    row = np.full(vertices, -1, np.int64)
    row[: len(mesh.xy)] = np.arange(len(mesh.xy))
    corner = np.zeros(vertices, np.int64)
    corner[cut.mesh.corner[::-1]] = np.arange(len(cut.mesh.corner))[::-1]
    return Grid(cut.parent, cut.weights, mesh.corner[mesh.base.corner], row, corner)


def compact_parts(mesh: Mesh, most: int) -> list[Ints]:
    """Polygons in compact parts of about ``most`` vertices at most: halved along the longer side, again and again."""
    vertices = len(numbered(mesh.corner, len(mesh.xy))[0])
    if vertices <= most:
        return [np.arange(mesh.polygons)]
    per_polygon = vertices / mesh.polygons
    size = max(1, int(most / per_polygon / _OVERLAP))
    centres, waiting, parts = mesh.centres, [np.arange(mesh.polygons)], []
    while waiting:
        part = waiting.pop()
        if len(part) <= size:
            parts.append(part)
            continue
        at = centres[part]
        axis = int(np.argmax(at.max(0) - at.min(0)))
        pieces = -(-len(part) // size)
        middle = len(part) * (pieces // 2) // pieces
        order = np.argpartition(at[:, axis], middle)
        waiting += [part[np.sort(order[middle:])], part[np.sort(order[:middle])]]
    return parts


_OVERLAP = 1.1  # vertices on the borders of parts are in two of them


def _prefix_sheets(program: Program, sheet: Sheet) -> dict[str, Sheet]:
    """Values downstream of no bend: affine all over the plane."""
    sheets = {program.input: sheet}
    for instruction in program.instructions:
        operation = instruction.operation
        if instruction.in_prefix and isinstance(operation, Affine):
            operands = [sheets[slot] for slot in instruction.reads]
            sheets[instruction.writes] = Sheet(
                operation.value(*(operand.centre for operand in operands)),
                operation.linear(*(operand.u for operand in operands)),
                operation.linear(*(operand.v for operand in operands)),
            )
    return sheets


@dataclass(frozen=True)
class _Writer:
    """Writes the rows of parts of a mesh that has been cut.

    Attributes:
        old: The mesh before.
        values: What the bending operation reads, at its vertices.
        bending: What was found.
        cut: The mesh after.
        instruction: The instruction.
        bend: The operation.
    """

    old: Mesh
    values: Tensor
    bending: Bending
    cut: Cut
    instruction: Instruction
    bend: Bend

    def part(self, refined: Group, polygons: Ints) -> Group:
        """Some polygons as a group of their own, the operation applied."""
        mesh = refined.mesh
        _, corners = slices(mesh.start, polygons)
        vertices, corner = numbered(mesh.corner[corners], len(mesh.xy))
        at_vertex = np.zeros(len(vertices), np.int64)
        at_vertex[corner[::-1]] = np.arange(len(corner))[::-1]
        labels, bends = _renumbered(mesh.bends[corners], refined.bends)
        beside_labels, beside = _renumbered(mesh.beside[corners], refined.beside)
        part = Mesh(
            mesh.xy[vertices],
            mesh.error[vertices],
            starts_of(np.diff(mesh.start)[polygons]),
            corner,
            labels,
            mesh.seam[corners],
            beside_labels,
        )
        grids = {key: grid.part(polygons, corners, vertices, at_vertex) for key, grid in refined.grids.items()}
        keep = {slot: held for slot, held in refined.stored.items() if slot not in self.instruction.frees}
        group = Group(refined.at, part, bends, beside, keep, grids)
        z = self._rows(vertices)
        group.stored[self.instruction.writes] = Stored(
            self.bend.apply(z.reshape(len(z), *self.instruction.shape)), None
        )
        return group

    def _rows(self, vertices: Ints) -> Tensor:
        """What the operation reads at vertices of the new mesh, ascending; at thresholds exactly."""
        old, added, cut, device = self.old, self.bending.added, self.cut, self.values.device
        z = self.values.reshape(len(self.values), -1)
        on_edge, inside = np.searchsorted(vertices, [len(old.xy), len(old.xy) + len(added.edge)])
        out = torch.empty((len(vertices), z.shape[1]), dtype=z.dtype, device=device)
        index = [torch.from_numpy(part).to(device) for part in (vertices[:on_edge],)]
        torch.index_select(z, 0, index[0], out=out[:on_edge])
        if inside > on_edge:
            out[on_edge:inside] = self._on_edges(z, vertices[on_edge:inside] - len(old.xy))
        if len(vertices) > inside:
            number = vertices[inside:] - len(old.xy) - len(added.edge)
            rows = old.corner[old.base.corner[cut.inner_polygon[number]]]
            out[inside:] = combined(z, rows, cut.inner_weights[number])
        if isinstance(self.bend, Hinge):
            self._put(out, vertices)
        return out

    def _on_edges(self, z: Tensor, number: Ints) -> Tensor:
        edges, device = self.old.edges, z.device
        edge = self.bending.added.edge[number]
        low, high = (torch.from_numpy(of[edge]).to(device) for of in (edges.low, edges.high))
        weight = torch.from_numpy(self.bending.added.t[number]).to(device=device, dtype=z.dtype)
        return z.index_select(0, low).lerp_(z.index_select(0, high), weight[:, None])

    def _put(self, out: Tensor, vertices: Ints) -> None:
        """Set the units that bend at a vertex to their thresholds there."""
        assert isinstance(self.bend, Hinge)
        thresholds, chords = Thresholds.of_hinge(self.bend, out.shape[1]), self.bending.chords
        vertex = np.concatenate([len(self.old.xy) + self.bending.member_vertex, self.cut.member_vertex])
        column = np.concatenate([self.bending.member_column, chords.column[self.cut.member_chord]])
        row = np.searchsorted(vertices, vertex)
        here = np.flatnonzero(vertices[np.minimum(row, len(vertices) - 1)] == vertex)
        thresholds.put(out, row[here], column[here])


def _renumbered(labels: Ints, bends: Bends) -> tuple[Ints, Bends]:
    """The labels that are used, numbered anew."""
    used, number = numbered(labels + 1, len(bends) + 1)
    if len(used) and used[0] == 0:
        used, number = used[1:], number - 1
    return number, bends.only(used - 1)
