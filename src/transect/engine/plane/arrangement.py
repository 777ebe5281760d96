"""Convex polygons cut along chords, all of them at once, by what lies between what on their borders.

In a polygon the zero set of a unit is a chord, known by the two places where it meets the border. Whether two chords
cross is decided by the order of these places alone: they do if and only if they alternate. Coordinates are asked for
one thing only, in which order chords cross one that is cut along, and crossings that rounding cannot tell apart there
become one vertex. So whatever rounding does, the result is a subdivision into convex polygons, to within rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from transect.engine.plane.merging import Along, merge_along
from transect.engine.plane.mesh import INSIDE, Bools, Floats, Ints, Mesh, ragged, slices, starts_of
from transect.errors import at_most


@dataclass(frozen=True)
class EdgeVertices:
    """New vertices on edges, ordered by (edge, t): ``N`` of them.

    Attributes:
        edge: Edge of the mesh, ``(N,)``.
        t: Position from its smaller vertex to its larger one, ``(N,)``.
        error: Stated bound on its distance from where it truly is, ``(N,)``.
    """

    edge: Ints
    t: Floats
    error: Floats


@dataclass(frozen=True)
class Chords:
    """Zero sets across polygons: ``C`` of them.

    Attributes:
        polygon: The polygon, ``(C,)``, ascending.
        corner: For both ends the corner it is at, or whose edge it is on, ``(C, 2)``.
        vertex: For both ends the index of the new vertex on that edge, -1 where it is at the corner itself, ``(C, 2)``.
        column: What is zero there, ``(C,)``: the caller's number.
        values: Values at the base of the polygon, ``(C, 3)``.
        tolerance: Values closer to zero are rounding, ``(C,)``.
    """

    polygon: Ints
    corner: Ints
    vertex: Ints
    column: Ints
    values: Floats
    tolerance: Floats

    def __len__(self) -> int:
        return len(self.polygon)


@dataclass(frozen=True)
class Cut:
    """A mesh cut along chords.

    Attributes:
        mesh: The polygons it falls into, those of one old polygon after the other. Vertices are the old ones, those on
            edges, those inside. Edges along chords bear ``first_label`` + their cut.
        parent: Old polygon of each, ``(F,)``.
        origin: Old corner whose edge the edge of every corner is part of, -1 along cuts, ``(H,)``.
        weights: Weights of every corner in the base of the old polygon, ``(H, 3)``.
        inner_polygon: Old polygon of every vertex inside one, ``(M,)``.
        inner_weights: Its weights in the base of that, ``(M, 3)``.
        member_vertex: New vertices inside polygons at which a chord's function is zero, and
        member_chord: the chord, ``(n,)`` each.
        cut_of_chord: Cuts, in order, and
        chord_of_cut: the chords that lie along each, ``(n,)`` each.
        cuts: How many cuts there are.
        doubts: Chords whose crossings are closer than their rounding, in an order that is not decided.
    """

    mesh: Mesh
    parent: Ints
    origin: Ints
    weights: Floats
    inner_polygon: Ints
    inner_weights: Floats
    member_vertex: Ints
    member_chord: Ints
    cut_of_chord: Ints
    chord_of_cut: Ints
    cuts: int
    doubts: Ints

    @property
    def middles(self) -> Floats:
        """Weights of a point inside every polygon, the mean of its corners, ``(F, 3)``."""
        return np.add.reduceat(self.weights, self.mesh.start[:-1]) / self.mesh.degree[:, None]


def cut_along(mesh: Mesh, added: EdgeVertices, chords: Chords, first_label: int, reach: float, stated: float) -> Cut:
    """Cut the polygons of a mesh along chords.

    Args:
        mesh: The polygons.
        added: New vertices on their edges.
        chords: What to cut along.
        first_label: Label of the first cut.
        reach: Positions closer than this are one, in plane coordinates.
        stated: What positions are stated with, as a multiple of the chords' tolerances.
    """
    border = _Border.of(mesh, added)
    work = _Arrangement(mesh, border, chords, reach, stated)
    work.run()
    return work.result(added, first_label)


@dataclass(frozen=True)
class _Border:
    """The borders of the polygons with the new vertices on edges: ``R`` corners.

    Attributes:
        place: Where each old corner is among them, ``(H,)``.
        within: Where each new vertex of a corner's edge is, beyond the corner: sign and offset, ``(H,)`` each.
        corner: Old corner that each is at or after, ``(R,)``.
        vertex: Vertex, ``(R,)``.
        start: Where each polygon starts, ``(F + 1,)``.
        weights: Weights in the base of the polygon, ``(R, 3)``.
    """

    place: Ints
    forward: Bools
    first: Ints
    count: Ints
    corner: Ints
    vertex: Ints
    start: Ints
    weights: Floats

    @classmethod
    def of(cls, mesh: Mesh, added: EdgeVertices) -> _Border:
        edges = mesh.edges
        per_edge = np.bincount(added.edge, minlength=len(edges.low))
        first = (np.cumsum(per_edge) - per_edge)[edges.of_corner]
        count = per_edge[edges.of_corner]
        forward = mesh.corner == edges.low[edges.of_corner]
        rows = ragged(count + 1)
        ahead = forward[rows.row]
        number = np.where(ahead, first[rows.row] + rows.within - 1, first[rows.row] + count[rows.row] - rows.within)
        new = rows.within > 0
        vertex = np.where(new, len(mesh.xy) + number, mesh.corner[rows.row])
        weights = mesh.weights[rows.row]
        if new.any():
            t = np.where(ahead, added.t[np.where(new, number, 0)], 1 - added.t[np.where(new, number, 0)])[new, None]
            low, high = mesh.weights[rows.row[new]], mesh.weights[mesh.following[rows.row[new]]]
            weights[new] = low + (high - low) * t
        place = starts_of(count + 1)
        return cls(
            place[:-1], forward, first, count, rows.row, vertex, place[np.append(mesh.start[:-1], len(count))], weights
        )

    def position(self, corner: Ints, vertex: Ints) -> Ints:
        """Place among all corners of an end at a corner (vertex -1), or at a new vertex of its edge."""
        step = np.where(
            self.forward[corner], vertex - self.first[corner] + 1, self.first[corner] + self.count[corner] - vertex
        )
        return self.place[corner] + np.where(vertex < 0, 0, step)


class _Arrangement:
    """The rounds: in each every unfinished polygon is cut along one of the chords that wait in it."""

    def __init__(self, mesh: Mesh, border: _Border, chords: Chords, reach: float, stated: float) -> None:
        self._mesh, self._border, self._chords, self._reach, self._stated = mesh, border, chords, reach, stated
        self._weights = border.weights  # of all points: corners on borders, then crossings
        self._inner: list[Ints] = []  # old polygon of every crossing
        self._errors: list[Floats] = []  # stated bound on its distance from where it truly is
        self._members: list[tuple[Ints, Ints]] = []  # crossing, chord
        self._along: list[tuple[Ints, Ints]] = []  # cut, chord
        self._cuts = 0
        self._doubts: list[Ints] = []
        self._done: list[tuple[Ints, Ints, Ints, Ints]] = []
        # Unfinished polygons: old polygon, number of corners; corners one polygon after the other: point, and what
        # the edge it begins was (an index into the border, or -1 - cut).
        self._parent = np.arange(mesh.polygons)
        self._degree = np.diff(border.start)
        self._point = np.arange(len(border.vertex))
        self._edge = self._point
        # Chords that wait: polygon, chord, and both ends as places on its border.
        first = border.start[chords.polygon]
        ends = border.position(chords.corner, chords.vertex) - first[:, None]
        self._waiting = _Waiting(chords.polygon, np.arange(len(chords)), ends)

    def run(self) -> None:
        """Cut until no chord waits."""
        for _ in at_most(len(self._chords) + 2, "cuts of one polygon"):
            waiting = np.bincount(self._waiting.polygon, minlength=len(self._parent))
            if not waiting.all():
                self._put_aside(waiting == 0)
                waiting = waiting[waiting > 0]
            if len(self._parent) == 0:
                break
            self._round(waiting)

    def _put_aside(self, finished: Bools) -> None:
        corners = np.repeat(finished, self._degree)
        self._done.append((self._parent[finished], self._degree[finished], self._point[corners], self._edge[corners]))
        number = np.cumsum(~finished) - 1
        self._waiting = replace(self._waiting, polygon=number[self._waiting.polygon])
        self._parent, self._degree = self._parent[~finished], self._degree[~finished]
        self._point, self._edge = self._point[~corners], self._edge[~corners]

    def _round(self, count: Ints) -> None:
        """Cut every polygon along one of the chords that wait in it; ``count`` is how many these are."""
        waiting, start = self._waiting, starts_of(self._degree)
        chosen = starts_of(count)[:-1] + count // 2
        p, q = waiting.ends[chosen].min(1), waiting.ends[chosen].max(1)
        first, last = self._point[start[:-1] + p], self._point[start[:-1] + q]
        cuts = _Cuts(self._cuts + np.arange(len(count)), waiting.chord[chosen], p, q, first, last)
        others = np.ones(len(waiting.chord), bool)
        others[chosen] = False
        waiting = waiting.only(others)
        sides = _side(waiting.ends, p[waiting.polygon, None], q[waiting.polygon, None])
        along, across = (sides == 0).all(1), np.flatnonzero(sides.prod(1) < 0)
        number = np.concatenate([cuts.number, cuts.number[waiting.polygon[along]]])
        self._along.append((number, np.concatenate([cuts.chord, waiting.chord[along]])))
        self._cuts += len(count)
        points = len(self._weights)
        met = self._meet(waiting.only(across), sides[across, 0] > 0, cuts)
        crossings = np.bincount(met.polygon, minlength=len(count))
        within = np.zeros(len(waiting.chord), np.int64)
        within[across] = met.within
        degree = self._degree
        self._split(start, cuts, crossings, points)
        self._waiting = _handed_on(waiting, sides, within, crossings, cuts, degree)

    def _meet(self, waiting: _Waiting, first_ahead: Bools, cuts: _Cuts) -> _Met:
        """Where chords cross the cuts: merged along these, in order.

        Args:
            waiting: The chords that do.
            first_ahead: Whether the first end of each lies between the ends of the cut, and not beyond, ``(n,)``.
            cuts: The cuts, one a polygon.
        """
        owner, chord = waiting.polygon, waiting.chord
        if len(owner) == 0:
            nothing = np.zeros(0, np.int64)
            return _Met(nothing, nothing)
        weights, values = self._weights, self._chords.values[chord]
        at_first = (weights[cuts.first[owner]] * values).sum(1)
        at_last = (weights[cuts.last[owner]] * values).sum(1)
        slope = np.abs(at_first) + np.abs(at_last)
        tau = np.clip(np.abs(at_first) / np.where(slope > 0, slope, 1.0), _LEAST, 1 - _LEAST)
        length = self._length(cuts.first, cuts.last)
        error, aside = self._error(owner, chord, slope, cuts.chord, length)
        ahead, behind = np.where(first_ahead[:, None], waiting.ends, waiting.ends[:, ::-1]).T
        around = (cuts.p[owner] - behind) % self._degree[owner]
        order = np.lexsort((tau, owner))
        # Chords that would cross on both sides of the cut cross on it.
        twice = np.zeros(len(order), bool)
        o, a, b = owner[order], ahead[order], around[order]
        twice[1:] = (o[1:] == o[:-1]) & (a[1:] < a[:-1]) & (b[1:] < b[:-1])
        merged = merge_along(Along(o, tau[order], error[order]), twice)
        if len(merged.doubtful):
            self._doubts.append(chord[order[merged.doubtful]])
        weight = merged.weight[:, None]
        polygon = merged.row
        low, high = weights[cuts.first[polygon]], weights[cuts.last[polygon]]
        self._weights = np.concatenate([weights, low + (high - low) * weight])
        self._inner.append(self._parent[polygon])
        self._errors.append(self._stated * (merged.error * length[polygon] + aside[polygon]))
        crossing = np.empty_like(chord)
        crossing[order] = merged.group
        point = len(weights) + np.concatenate([np.arange(len(polygon)), crossing])
        self._members.append((point, np.concatenate([cuts.chord[polygon], chord])))
        counts = np.bincount(polygon, minlength=len(cuts.p))
        return _Met(polygon, crossing - (np.cumsum(counts) - counts)[owner])

    def _error(self, owner: Ints, chord: Ints, slope: Floats, pivot: Ints, length: Floats) -> tuple[Floats, Floats]:
        """Of a crossing's weight: from the rounding of both chords' functions, and from that of positions.

        And how far rounding moves each of the chords that are cut along to its side.
        """
        base, parent, tolerance = self._mesh.base, self._parent, self._chords.tolerance
        tiny = np.finfo(float).tiny
        own = base.gradients(self._chords.values[chord], parent[owner])
        other = base.gradients(self._chords.values[pivot], parent)
        steep = np.maximum((other**2).sum(1), tiny)
        across = np.abs((own * other[owner]).sum(1)) / steep[owner]
        value = tolerance[chord] + tolerance[pivot[owner]] * across
        error = np.maximum(value / np.maximum(slope, tiny), self._reach / np.maximum(length[owner], tiny))
        return error, np.minimum(tolerance[pivot] / np.sqrt(steep), length)

    def _length(self, first: Ints, last: Ints) -> Floats:
        base, parent = self._mesh.base, self._parent
        step = self._weights[last] - self._weights[first]
        at = step[:, 1:2] * base.along[parent] + step[:, 2:] * base.across[parent]
        return np.hypot(at[:, 0], at[:, 1])

    def _split(self, start: Ints, cuts: _Cuts, count: Ints, base: int) -> None:
        """Both parts of every polygon: the border from p to q and back along the cut, and the other way round."""
        p, q, numbers = cuts.p, cuts.q, cuts.number
        before = np.cumsum(count) - count
        ahead, behind = q - p + 1, self._degree - (q - p) + 1
        a, b = ragged(ahead + count), ragged(behind + count)
        last = len(self._point) - 1
        old = a.within < ahead[a.row]
        at = np.minimum(start[a.row] + p[a.row] + a.within, last)
        crossing = base + before[a.row] + count[a.row] - 1 - (a.within - ahead[a.row])
        point_a = np.where(old, self._point[at], crossing)
        edge_a = np.where(a.within < ahead[a.row] - 1, self._edge[at], -1 - numbers[a.row])
        old = b.within < behind[b.row]
        at = start[b.row] + (q[b.row] + b.within) % self._degree[b.row]
        crossing = base + before[b.row] + b.within - behind[b.row]
        point_b = np.where(old, self._point[at], crossing)
        edge_b = np.where(b.within < behind[b.row] - 1, self._edge[at], -1 - numbers[b.row])
        self._point, self._edge = np.concatenate([point_a, point_b]), np.concatenate([edge_a, edge_b])
        self._parent = np.concatenate([self._parent, self._parent])
        self._degree = np.concatenate([ahead + count, behind + count])

    def result(self, added: EdgeVertices, first_label: int) -> Cut:
        """Everything put together, in the order of the old polygons."""
        parent, degree, point, edge = (np.concatenate(parts) for parts in zip(*self._done, strict=True))
        order = np.argsort(parent, kind="stable")
        _, entry = slices(starts_of(degree), order)
        point, edge, start = point[entry], edge[entry], starts_of(degree[order])
        border, mesh, vertices = self._border, self._mesh, len(self._mesh.xy) + len(added.edge)
        on_border = len(border.vertex)
        vertex = np.where(
            point < on_border, border.vertex[np.minimum(point, on_border - 1)], vertices + point - on_border
        )
        old = border.corner[np.maximum(edge, 0)]
        cut = edge < 0
        inner = np.concatenate([np.zeros(0, np.int64), *self._inner])
        inner_weights = self._weights[on_border:]
        xy, error = self._positions(added, inner, inner_weights)
        refined = Mesh(
            xy,
            error,
            start,
            vertex,
            np.where(cut, first_label - 1 - edge, mesh.bends[old]),
            np.where(cut, INSIDE, mesh.seam[old]),
            np.where(cut, -1, mesh.beside[old]),
        )
        nothing = np.zeros(0, np.int64)
        member, member_chord = (np.concatenate([nothing, *(part[which] for part in self._members)]) for which in (0, 1))
        cuts, chord = (np.concatenate([nothing, *(part[which] for part in self._along)]) for which in (0, 1))
        in_order = np.argsort(cuts, kind="stable")
        return Cut(
            refined,
            parent[order],
            np.where(cut, -1, old),
            self._weights[point],
            inner,
            inner_weights,
            vertices + member - on_border,
            member_chord,
            cuts[in_order],
            chord[in_order],
            self._cuts,
            np.concatenate([nothing, *self._doubts]),
        )

    def _positions(self, added: EdgeVertices, inner: Ints, weights: Floats) -> tuple[Floats, Floats]:
        mesh, edges = self._mesh, self._mesh.edges
        low, high = mesh.xy[edges.low[added.edge]], mesh.xy[edges.high[added.edge]]
        base = mesh.base
        origin = mesh.xy[mesh.corner[base.corner[inner, 0]]]
        inside = origin + (weights[:, 1:2] * base.along[inner] + weights[:, 2:] * base.across[inner])
        xy = np.concatenate([mesh.xy, low + (high - low) * added.t[:, None], inside])
        return xy, np.concatenate([mesh.error, added.error, *self._errors])


_LEAST = 1e-15


@dataclass(frozen=True)
class _Waiting:
    """Chords that wait to be cut along: ``n`` of them, ordered by nothing but their polygons.

    Attributes:
        polygon: The polygon, ``(n,)``.
        chord: The chord, ``(n,)``.
        ends: Both ends as places on the border of the polygon, ``(n, 2)``.
    """

    polygon: Ints
    chord: Ints
    ends: Ints

    def only(self, some: Ints | Bools) -> _Waiting:
        """Some of them."""
        return _Waiting(self.polygon[some], self.chord[some], self.ends[some])


@dataclass(frozen=True)
class _Cuts:
    """One chord of every polygon, along which it is cut.

    Attributes:
        number: Number of the cut.
        chord: The chord.
        p: Place of one end on the border, the smaller.
        q: That of the other.
        first: Point at p.
        last: Point at q.
    """

    number: Ints
    chord: Ints
    p: Ints
    q: Ints
    first: Ints
    last: Ints


@dataclass(frozen=True)
class _Met:
    """Crossings on cuts: polygon of each, ``(M,)``; and for every chord that crosses, which of its polygon's it is."""

    polygon: Ints
    within: Ints


def _side(ends: Ints, p: Ints, q: Ints) -> Ints:
    """1 for places between p and q, -1 for those beyond, 0 for the two themselves."""
    return np.where((ends == p) | (ends == q), 0, np.where((ends > p) & (ends < q), 1, -1))


def _handed_on(waiting: _Waiting, sides: Ints, within: Ints, count: Ints, cuts: _Cuts, degree: Ints) -> _Waiting:
    """The chords that wait go to the part they lie in, or, where they cross the cut, one part of them to each.

    Args:
        waiting: The chords.
        sides: On which side of the cut each end is, ``(n, 2)``.
        within: For those that cross it, the number of the crossing along the cut, ``(n,)``.
        count: Crossings of every cut.
        cuts: The cuts.
        degree: Corners of every polygon before it was cut.
    """
    owner, corners, cut = waiting.polygon, degree[waiting.polygon], (cuts.q - cuts.p)[waiting.polygon]
    # The first part begins at p, the second at q; where on their borders the crossings are:
    crossings = cut + count[owner] - within, corners - cut + 1 + within
    parts = []
    for sign, crossing, begin, offset in ((1, crossings[0], cuts.p, 0), (-1, crossings[1], cuts.q, len(count))):
        here = np.flatnonzero((sides == sign).any(1))
        place = (waiting.ends[here] - begin[owner[here], None]) % corners[here, None]
        ends = np.where(sides[here] == -sign, crossing[here, None], place)
        parts.append(_Waiting(owner[here] + offset, waiting.chord[here], ends))
    return _Waiting(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("polygon", "chord", "ends")))
