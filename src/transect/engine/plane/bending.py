"""One unit-wise bending operation at the vertices of a mesh: what crosses where, and what touches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from transect.engine.plane.arrangement import Chords, EdgeVertices
from transect.engine.plane.merging import Along, merge_along
from transect.engine.plane.mesh import Bools, Floats, Ints, Mesh, first_of_rows, slices, starts_of
from transect.engine.plane.signs import Places, Signs, Thresholds, Words, any_of, listed, packed
from transect.engine.plane.turns import turns_of
from transect.engine.rounding import Tolerance
from transect.errors import at_most
from transect.rules import Hinge

INTERPOLATED = 4.0  # multiples of eps of the largest of three numbers by which one made of them may be off
FLAT = "within rounding of its threshold all over a region"
ORDER = "borders closer than their rounding: their order is not decided"
TWISTED = "the signs of a unit around a polygon fit no straight border: those nearest to it were set to it"


@dataclass(frozen=True)
class Doubt:
    """What rounding could not decide: where, which unit and why."""

    xy: Floats
    unit: Ints
    reason: str


@dataclass(frozen=True)
class Touching:
    """Units that are at a threshold along an edge that is there already.

    Attributes:
        corner: A corner that begins the edge, ``(n,)``.
        unit: The unit, ``(n,)``.
        piece: Its piece in the polygon of that corner, ``(n,)``.
    """

    corner: Ints
    unit: Ints
    piece: Ints

    @classmethod
    def none(cls) -> Touching:
        """There is none."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing)

    def only(self, chosen: Ints) -> Touching:
        """Some of them."""
        return Touching(self.corner[chosen], self.unit[chosen], self.piece[chosen])


@dataclass(frozen=True)
class Bending:
    """What a bending operation does to a mesh.

    Attributes:
        added: New vertices on edges.
        chords: What cuts the polygons.
        unit: Unit of every chord, ``(C,)``.
        member_vertex: New vertices on edges, by their index among these, at which a column is zero, and
        member_column: the column, ``(n,)`` each.
        flips: At edges between two polygons of the mesh: units whose piece changes there, though nothing is cut.
        beside: At seams: units at a threshold along the edge that are on a higher piece beside it.
        closer: The tolerance of some chords from the values at their own polygons.
        doubts: What rounding could not decide.
    """

    added: EdgeVertices
    chords: Chords
    unit: Ints
    member_vertex: Ints
    member_column: Ints
    flips: Touching
    beside: Touching
    doubts: list[Doubt] = field(default_factory=list)


def _corners_of(mesh: Mesh, polygons: Ints) -> tuple[Ints, Ints]:
    """All corners of some polygons, one after the other, and where each of these starts."""
    _, corners = slices(mesh.start, polygons)
    return corners, starts_of(mesh.degree[polygons])


@dataclass(frozen=True)
class _Crossings:
    """Where columns cross edges: ``C`` of them.

    Attributes:
        edge: The edge, ``(C,)``.
        column: The column, ``(C,)``.
        t: Position from the smaller vertex, ``(C,)``.
        error: Bound on its error, ``(C,)``.
    """

    edge: Ints
    column: Ints
    t: Floats
    error: Floats


def bend_polygons(hinge: Hinge, z: Tensor, mesh: Mesh, tolerance: Tolerance, reach: float) -> Bending:
    """Find everything at a unit-wise operation at once.

    Args:
        hinge: The operation.
        z: Values at the vertices, ``(V, units)``; entries may be set to a threshold.
        mesh: The polygons.
        tolerance: Rounding of the units.
        reach: Positions closer than this are one, in plane coordinates.
    """
    return _AtHinge(hinge, z, mesh, tolerance, reach).bending()


def rounding_nearby(tolerance: Tolerance, xy: Floats, number: Ints, device: torch.device) -> Floats:
    """How far rounding moves numbers at coordinates, ``(n, 2)`` and ``(n,)``, from the values there."""
    found = tolerance.nearby(torch.from_numpy(xy).to(device), torch.from_numpy(number).to(device))
    return found.cpu().numpy()


def on_edges(mesh: Mesh, places: Along, unit: Ints, stated: float) -> tuple[EdgeVertices, Ints, list[Doubt]]:
    """New vertices on edges, those of rounding's one made one: them, which each place belongs to, and doubts."""
    merged = merge_along(places)
    doubts = []
    if len(merged.doubtful):
        at = mesh.xy[mesh.edges.low[places.row[merged.doubtful]]]
        doubts.append(Doubt(at, unit[merged.doubtful], ORDER))
    error = stated * merged.error * mesh.edge_lengths[merged.row]
    return EdgeVertices(merged.row, merged.weight, error), merged.group, doubts


class _AtHinge:
    def __init__(self, hinge: Hinge, z: Tensor, mesh: Mesh, tolerance: Tolerance, reach: float) -> None:
        self._z, self._mesh, self._tolerance, self._reach = z, mesh, tolerance, reach
        self._thresholds = Thresholds.of_hinge(hinge, z.shape[1])
        self._merge = tolerance.merge.cpu().numpy()
        self._signs = Signs.of(z, self._thresholds, tolerance.most)
        self._doubts: list[Doubt] = []

    def bending(self) -> Bending:
        """What happens, once no sign is to be set any more."""
        if self._signs.near:
            self._settle_noise()
        for _ in at_most(self._z.numel() + 2, "vertices at a threshold"):
            found = self._crossings()
            if (ends := self._ends(found)) is not None:
                return self._put_together(found, *ends)
        raise AssertionError("unreachable")

    def _put_together(self, found: _Crossings, polygon: Ints, column: Ints, corner: Ints, crossing: Ints) -> Bending:
        mesh = self._mesh
        edge_vertices, group = self._merged(found)
        vertex = np.where(crossing < 0, -1, group[np.maximum(crossing, 0)]) if len(group) else crossing
        unit = self._thresholds.split(column)[1]
        base = mesh.corner[mesh.base.corner[polygon]]
        values = self._thresholds.distances(self._z, base.reshape(-1), np.repeat(column, 3)).reshape(-1, 3)
        chords = Chords(polygon, corner, vertex, column, values, self._merge[unit])
        order = np.argsort(group, kind="stable")
        flips, beside = self._touching()
        return Bending(edge_vertices, chords, unit, group[order], found.column[order], flips, beside, self._doubts)

    # Crossings of edges

    def _crossings(self) -> _Crossings:
        """Crossings of all edges, once no end of one is within rounding of its threshold; ordered by (edge, t)."""
        mesh = self._mesh
        for _ in at_most(self._z.numel() + 2, "vertices at a threshold"):
            edge, column = self._signs.crossing(mesh)
            low, high = mesh.edges.low[edge], mesh.edges.high[edge]
            left, right = (np.abs(self._thresholds.distances(self._z, at, column)) for at in (low, high))
            slope = left + right
            position = self._reach / mesh.edge_lengths[edge]
            bound = self._merge[self._thresholds.split(column)[1]]
            t, error = left / slope, np.maximum(bound / slope, position)
            near = np.flatnonzero((t <= error) | (1 - t <= error) | (right <= bound) | (left <= bound))
            if len(near) == 0 or not self._snap(near, low, high, column, left, right, position, error):
                order = np.lexsort((t, edge))
                found = _Crossings(edge[order], column[order], t[order], error[order])
                return self._looked_at_closely(found, slope[order], position[order])
        raise AssertionError("unreachable")

    def _snap(
        self,
        near: Ints,
        low: Ints,
        high: Ints,
        column: Ints,
        left: Floats,
        right: Floats,
        position: Floats,
        error: Floats,
    ) -> bool:
        """Set ends of crossed edges to the threshold where their distance, or their position's, is rounding.

        Bounds come from the values at the ends themselves. Whether any end was set is returned.
        """
        low, high, column = low[near], high[near], column[near]
        left, right, position = left[near], right[near], position[near]
        unit = self._thresholds.split(column)[1]
        bound_low, bound_high = self._nearby(np.concatenate([low, high]), np.concatenate([unit, unit])).reshape(2, -1)
        slope = left + right
        t = left / slope
        error[near] = np.maximum((bound_low + (bound_high - bound_low) * t) / slope, position)
        within = error[near] * slope
        at_low = (left <= bound_low) | ((left <= within) & (left <= right))
        at_high = (right <= bound_high) | ((right <= within) & (right < left))
        row, columns = np.concatenate([low[at_low], high[at_high]]), np.concatenate([column[at_low], column[at_high]])
        if len(row) == 0:
            return False
        self._set(row, columns)
        return True

    def _set(self, row: Ints, column: Ints) -> None:
        self._thresholds.put(self._z, row, column)
        self._signs.clear(row, column)
        self._signs.near = True

    def _nearby(self, vertex: Ints, unit: Ints) -> Floats:
        return rounding_nearby(self._tolerance, self._mesh.xy[vertex], unit, self._z.device)

    def _looked_at_closely(self, found: _Crossings, slope: Floats, position: Floats) -> _Crossings:
        """The same; where two are not told apart, their errors come from the values nearby."""
        together = (found.edge[1:] == found.edge[:-1]) & (
            found.t[1:] - found.t[:-1] <= found.error[1:] + found.error[:-1]
        )
        if not together.any():
            return found
        close = np.flatnonzero(np.append(together, False) | np.insert(together, 0, False))
        low, high = (of[found.edge[close]] for of in (self._mesh.edges.low, self._mesh.edges.high))
        unit = self._thresholds.split(found.column[close])[1]
        bounds = self._nearby(np.concatenate([low, high]), np.concatenate([unit, unit])).reshape(2, -1)
        bound = bounds[0] + (bounds[1] - bounds[0]) * found.t[close]
        found.error[close] = np.maximum(bound / slope[close], position[close])
        return found

    def _merged(self, found: _Crossings) -> tuple[EdgeVertices, Ints]:
        unit = self._thresholds.split(found.column)[1]
        places = Along(found.edge, found.t, found.error)
        added, group, doubts = on_edges(self._mesh, places, unit, self._tolerance.stated)
        self._doubts += doubts
        return added, group

    # Chords of polygons

    def _ends(self, found: _Crossings) -> tuple[Ints, Ints, Ints, Ints] | None:
        """Both ends of every chord: polygon, column, corners and crossings ``(C, 2)``.

        None where signs had to be set.
        """
        mesh, edges = self._mesh, self._mesh.edges
        number = np.arange(len(found.edge))
        second = edges.second[found.edge]
        two = np.flatnonzero(second >= 0)
        corner = np.concatenate([edges.first[found.edge], second[two]])
        column = np.concatenate([found.column, found.column[two]])
        crossing = np.concatenate([number, two])
        if self._signs.near:
            zero_corner, zero_column = self._zero_corners()
            corner, column = np.concatenate([corner, zero_corner]), np.concatenate([column, zero_column])
            crossing = np.concatenate([crossing, np.full(len(zero_corner), -1)])
        columns = self._thresholds.stride * len(self._thresholds.limits)
        key = mesh.polygon[corner] * columns + column
        order = np.argsort(key, kind="stable")
        key, corner, crossing = key[order], corner[order], crossing[order]
        first = np.flatnonzero(first_of_rows(key))
        counts = np.diff(np.append(first, len(key)))
        simple = counts == 2
        both = first[simple]
        ends = [
            key[both],
            np.stack([corner[both], corner[both + 1]], 1),
            np.stack([crossing[both], crossing[both + 1]], 1),
        ]
        if not simple.all():
            more = self._from_cycles(key[first[~simple]], columns, corner, crossing, key)
            if more is None:
                return None
            ends = [np.concatenate([one, other]) for one, other in zip(ends, more, strict=True)]
            order = np.argsort(ends[0], kind="stable")
            ends = [part[order] for part in ends]
        polygon, column = np.divmod(ends[0], columns)
        return polygon, column, ends[1], ends[2]

    def _zero_corners(self) -> Places:
        """Corners at which a column is zero that is above and below elsewhere on the polygon's border."""
        mesh, signs = self._mesh, self._signs
        at = signs.at
        above, below = (any_of(words[mesh.corner], mesh.start) for words in (signs.above, signs.below))
        return listed(at[mesh.corner] & (above & below)[mesh.polygon])

    def _from_cycles(
        self, keys: Ints, columns: int, corner: Ints, crossing: Ints, key: Ints
    ) -> tuple[Ints, Ints, Ints] | None:
        """Ends of chords where more than two places ask to be one: several zeros beside one another, or noise.

        Where the sign changes more than twice around a polygon, the value nearest to zero is set to it, and None is
        returned: everything is to be looked at again.
        """
        mesh = self._mesh
        polygon, column = np.divmod(keys, columns)
        row, entry = slices(mesh.start, polygon)
        distance = self._thresholds.distances(self._z, mesh.corner[entry], column[row.row])
        turns = turns_of(starts_of(mesh.degree[polygon]), np.sign(distance), np.abs(distance))
        if len(turns.twisted):
            vertex, twisted = mesh.corner[entry[turns.twisted]], column[row.row[turns.twisted]]
            self._doubts.append(Doubt(mesh.xy[vertex], self._thresholds.split(twisted)[1], TWISTED))
            self._set(vertex, twisted)
            return None
        found_corner, found_crossing = entry[turns.entry], np.full(turns.entry.shape, -1)
        which, side = np.nonzero(~turns.at_zero)
        on_edge = found_corner[which, side]
        found_crossing[which, side] = self._lookup(key, corner, crossing, keys[turns.row[which]], on_edge)
        return keys[turns.row], found_corner, found_crossing

    def _lookup(self, key: Ints, corner: Ints, crossing: Ints, keys: Ints, corners: Ints) -> Ints:
        """The crossing of the edge a corner begins, by key and corner."""
        at_edge = crossing >= 0
        stride = len(self._mesh.corner)
        have = key[at_edge] * stride + corner[at_edge]
        order = np.argsort(have)
        place = np.searchsorted(have[order], keys * stride + corners)
        return crossing[at_edge][order][place]

    # Zeros along edges and all over polygons

    def _touching(self) -> tuple[Touching, Touching]:
        """Units that are zero along an edge: those whose piece changes there, and those above zero beside a seam."""
        signs, mesh, edges = self._signs, self._mesh, self._mesh.edges
        if not signs.near:
            return Touching.none(), Touching.none()
        at, above = signs.at, any_of(signs.above[mesh.corner], mesh.start)
        along = at[edges.low] & at[edges.high]
        two = edges.second >= 0
        inner, seam = np.flatnonzero(two), np.flatnonzero(~two & (mesh.seam[edges.first] >= 0))
        sides = [above[mesh.polygon[edges.first[inner]]], above[mesh.polygon[edges.second[inner]]]]
        changes = listed(along[inner] & (sides[0] ^ sides[1]))
        return self._touches(edges.first[inner], changes), self._touches(edges.first[seam], self._beside(seam))

    def _beside(self, seam: Ints) -> Places:
        """Columns that are zero along seams, to within rounding, and above it beside them: edge of ``seam``, column.

        The other side of a seam has rounding of its own: what is exactly zero there need not be so here.
        """
        signs, mesh, edges = self._signs, self._mesh, self._mesh.edges
        low, high = edges.low[seam], edges.high[seam]
        vertices, place = np.unique(np.concatenate([low, high]), return_inverse=True)
        near = np.concatenate([self._near(vertices, index) for index in range(len(self._thresholds.limits))], axis=1)
        along = near[place[: len(seam)]] & near[place[len(seam) :]]
        corners, start = _corners_of(mesh, mesh.polygon[edges.first[seam]])
        found = listed(along & any_of(signs.above[mesh.corner[corners]], start)) if len(seam) else listed(along)
        if len(found.row) == 0:
            return found
        polygon = mesh.polygon[edges.first[seam[found.row]]]
        row, entry = slices(mesh.start, polygon)
        start = starts_of(mesh.degree[polygon])[:-1]
        vertex, column = mesh.corner[entry], found.column[row.row]
        distance = self._thresholds.distances(self._z, vertex, column)
        bound = self._bounds_at(vertex, column, distance, start, row.row)
        end = (vertex == low[found.row][row.row]) | (vertex == high[found.row][row.row])
        zero = np.logical_and.reduceat((np.abs(distance) <= bound) | ~end, start)
        keep = zero & np.logical_or.reduceat(distance > bound, start)
        return Places(found.row[keep], found.column[keep])

    def _bounds_at(self, vertex: Ints, column: Ints, distance: Floats, start: Ints, row: Ints) -> Floats:
        """How far rounding moves values at corners, from the values there; at least as far as interpolation does."""
        unit = self._thresholds.split(column)[1]
        bound = self._merge[unit].copy()
        close = np.flatnonzero(np.abs(distance) <= bound)
        bound[close] = self._nearby(vertex[close], unit[close])
        sizes = np.maximum.reduceat(np.abs(distance), start)[row]
        found: Floats = np.maximum(bound, INTERPOLATED * float(torch.finfo(self._z.dtype).eps) * sizes)
        return found

    def _near(self, vertices: Ints, threshold: int) -> Words:
        """Which values at some vertices are at a threshold, to within rounding."""
        limit = self._thresholds.limits[threshold]
        z = self._z[torch.from_numpy(vertices).to(self._z.device)]
        return packed(((z - limit).abs() <= self._tolerance.merge).cpu().numpy())

    def _touches(self, corner: Ints, places: Places) -> Touching:
        which, unit = self._thresholds.split(places.column)
        return Touching(corner[places.row], unit, which + 1)

    def _settle_noise(self) -> None:
        """Name units within rounding of a threshold all over a polygon; those above it are set to it."""
        mesh, merge = self._mesh, self._merge
        for index, limit in enumerate(self._thresholds.limits):
            z = self._z.cpu().numpy()
            shift = limit.cpu().numpy() if isinstance(limit, Tensor) else limit
            near = np.abs(z - shift) <= merge
            suspects = self._tolerance.suspects().cpu().numpy()
            at = z == shift
            units = np.flatnonzero((near & ~at).any(0) | suspects)
            if len(units) == 0:
                continue
            over = np.logical_and.reduceat(near[:, units][mesh.corner], mesh.start[:-1], axis=0)
            exact = np.logical_and.reduceat(at[:, units][mesh.corner], mesh.start[:-1], axis=0)
            polygon, which = np.nonzero(over & (~exact | suspects[units]))
            if len(polygon):
                self._settle(index, polygon, units[which], exact[polygon, which])

    def _settle(self, threshold: int, polygon: Ints, unit: Ints, exact: Bools) -> None:
        mesh = self._mesh
        column = threshold * self._thresholds.stride + unit
        row, entry = slices(mesh.start, polygon)
        vertex = mesh.corner[entry]
        distance = np.abs(self._thresholds.distances(self._z, vertex, column[row.row]))
        within = np.ones(len(polygon), bool)
        check = np.flatnonzero(distance > 0)
        beyond = distance[check] > self._nearby(vertex[check], unit[row.row[check]])
        within[row.row[check[beyond]]] = False
        asked = np.flatnonzero(within & exact)
        if len(asked):
            device = self._z.device
            places = torch.from_numpy(mesh.centres[polygon[asked]]).to(device)
            moves = self._tolerance.moves(places, torch.from_numpy(unit[asked]).to(device))
            within[asked] = moves.cpu().numpy()
        hidden = np.flatnonzero(within)
        if len(hidden) == 0:
            return
        self._doubts.append(Doubt(mesh.centres[polygon[hidden]], unit[hidden], FLAT))
        inside = within[row.row] & (distance > 0)
        self._set(vertex[inside], column[row.row[inside]])
