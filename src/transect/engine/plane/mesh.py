"""Convex polygons over shared vertices, and what is known of their edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

INSIDE, OUTSIDE = -1, -2  # what an edge is that is no seam: between two polygons of the mesh, or a side of the domain


class Ragged(NamedTuple):
    """Rows of different lengths, written one after the other."""

    row: Ints
    within: Ints


def ragged(counts: Ints) -> Ragged:
    """Row and place within it of every entry of rows of so many entries."""
    row = np.repeat(np.arange(len(counts)), counts)
    return Ragged(row, np.arange(len(row)) - (np.cumsum(counts) - counts)[row])


def starts_of(counts: Ints) -> Ints:
    """Where rows of so many entries start, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def slices(start: Ints, rows: Ints) -> tuple[Ragged, Ints]:
    """Entries of some rows one after the other: row among those asked for, and index of the entry."""
    counts = start[rows + 1] - start[rows]
    entries = ragged(counts)
    return entries, start[rows][entries.row] + entries.within


def following_of(start: Ints) -> Ints:
    """The next entry of the same row, in turn."""
    following = np.arange(1, start[-1] + 1)
    following[start[1:] - 1] = start[:-1]
    return following


def first_of_rows(row: Ints) -> Bools:
    """Whether each entry is the first of its row; entries of a row follow one another."""
    return np.concatenate([np.ones(min(1, len(row)), bool), row[1:] != row[:-1]])


def numbered(entries: Ints, limit: int) -> tuple[Ints, Ints]:
    """The distinct entries, ascending, and for each its number among them; all lie below ``limit``."""
    if _FEW * len(entries) < limit:
        return np.unique(entries, return_inverse=True)
    there = np.zeros(limit, bool)
    there[entries] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[entries]


def distinct(entries: Ints) -> Ints:
    """The distinct entries, ascending; quick where they are in order already."""
    if len(entries) < 2:
        return entries
    steps = np.diff(entries)
    if (steps < 0).any():
        entries = np.sort(entries)
        steps = np.diff(entries)
    return entries[np.concatenate([[True], steps > 0])]


_FEW = 16  # where there are fewer entries than one in so many, sorting them is faster than looking at all


@dataclass(frozen=True)
class Bends:
    """Lists of (operation, unit), one a label: what bends at the edges that bear it.

    Attributes:
        start: Where the list of each label starts, ``(labels + 1,)``.
        operation: Index of the bending operation, ``(n,)``.
        unit: Flat index of the unit, ``(n,)``.
        piece: Piece of the unit on the side of the edge in question, where that is what the list is about, ``(n,)``.
    """

    start: Ints
    operation: Ints
    unit: Ints
    piece: Ints

    @classmethod
    def empty(cls) -> Bends:
        """No label yet."""
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(1, np.int64), nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.start) - 1

    def only(self, labels: Ints) -> Bends:
        """The lists of some labels, which are numbered in the order given."""
        _, entry = slices(self.start, labels)
        counts = self.start[labels + 1] - self.start[labels]
        return Bends(starts_of(counts), self.operation[entry], self.unit[entry], self.piece[entry])

    def contents(self) -> Ints:
        """A number for the set of (operation, unit) that each label lists: equal where these are, ``(labels,)``."""
        counts = np.diff(self.start)
        owner = np.repeat(np.arange(len(self)), counts)
        order = np.lexsort((self.unit, self.operation, owner))
        entries = np.stack([self.operation[order], self.unit[order]], 1)
        found = np.zeros(len(self), np.int64)
        used = 1
        for length in np.unique(counts[counts > 0]).tolist():
            labels = np.flatnonzero(counts == length)
            _, entry = slices(self.start, labels)
            lists, same = np.unique(entries[entry].reshape(len(labels), 2 * length), axis=0, return_inverse=True)
            found[labels] = used + same.reshape(-1)
            used += len(lists)
        return found

    def more(self, base: Ints, label: Ints, operation: int, unit: Ints, piece: Ints | None = None) -> Bends:
        """With as many labels more as ``base`` has entries.

        Args:
            base: An old label that each new one begins with, or -1, ``(K,)``.
            label: Which of the new ones each further entry belongs to, ``(n,)``.
            operation: Operation of these entries.
            unit: Their units, ``(n,)``.
            piece: Their pieces, ``(n,)``.
        """
        with_base = np.flatnonzero(base >= 0)
        old, entry = slices(self.start, base[with_base])
        owner = np.concatenate([with_base[old.row], label])
        order = np.argsort(owner, kind="stable")
        piece = np.zeros_like(unit) if piece is None else piece
        columns = (
            (self.operation, np.concatenate([self.operation[entry], np.full_like(unit, operation)])),
            (self.unit, np.concatenate([self.unit[entry], unit])),
            (self.piece, np.concatenate([self.piece[entry], piece])),
        )
        ends = self.start[-1] + np.cumsum(np.bincount(owner, minlength=len(base)))
        joined = [np.concatenate([old_part, new[order]]) for old_part, new in columns]
        return Bends(np.concatenate([self.start, ends.astype(np.int64)]), *joined)


@dataclass(frozen=True)
class Mesh:
    """Convex polygons, counter-clockwise, which share vertices: ``V`` vertices, ``F`` polygons, ``H`` corners.

    A polygon has a corner wherever an edge of a neighbour ends, too. Corner h begins the edge to the next corner.

    Attributes:
        xy: Coordinates, ``(V, 2)``.
        error: Stated bound on the distance of each vertex from where it truly is, ``(V,)``.
        start: Where the corners of each polygon start, ``(F + 1,)``.
        corner: Vertex of every corner, ``(H,)``.
        bends: Label of what bends at the edge that a corner begins, -1 for nothing, ``(H,)``.
        seam: Number of the seam between two meshes that the edge lies on, or INSIDE, or OUTSIDE, ``(H,)``.
        beside: At a seam or side: label of units that are zero along the edge and not on their lowest piece beside it,
            -1 for none, ``(H,)``.
    """

    xy: Floats
    error: Floats
    start: Ints
    corner: Ints
    bends: Ints
    seam: Ints
    beside: Ints

    @property
    def polygons(self) -> int:
        """How many polygons there are."""
        return len(self.start) - 1

    @cached_property
    def degree(self) -> Ints:
        """Number of corners of each polygon, ``(F,)``."""
        return np.diff(self.start)

    @cached_property
    def polygon(self) -> Ints:
        """Polygon of every corner, ``(H,)``."""
        return np.repeat(np.arange(self.polygons), self.degree)

    @cached_property
    def following(self) -> Ints:
        """The next corner of the same polygon, ``(H,)``."""
        return following_of(self.start)

    @cached_property
    def edges(self) -> Edges:
        """The distinct edges."""
        a, b = self.corner, self.corner[self.following]
        low, high = np.minimum(a, b), np.maximum(a, b)
        key, of_corner = np.unique(low * len(self.xy) + high, return_inverse=True)
        low, high = np.divmod(key, len(self.xy))
        first = np.full(len(key), -1, np.int64)
        second = first.copy()
        corners = np.arange(len(a))
        second[of_corner] = corners  # the last one that writes
        first[of_corner[::-1]] = corners[::-1]  # the first one
        second[second == first] = -1
        return Edges(low, high, of_corner, first, second)

    @cached_property
    def edge_lengths(self) -> Floats:
        """Lengths of the distinct edges, ``(E,)``; at least the smallest number there is."""
        step = self.xy[self.edges.high] - self.xy[self.edges.low]
        return np.maximum(np.hypot(step[:, 0], step[:, 1]), np.finfo(float).tiny)

    @cached_property
    def centres(self) -> Floats:
        """Means of the corners, ``(F, 2)``: points inside."""
        return np.add.reduceat(self.xy[self.corner], self.start[:-1]) / self.degree[:, None]

    @cached_property
    def areas(self) -> Floats:
        """Areas in plane coordinates, relative to one corner of each, ``(F,)``."""
        at = self.xy[self.corner] - self.xy[self.corner[self.start[:-1]]][self.polygon]
        then = at[self.following]
        return np.add.reduceat(at[:, 0] * then[:, 1] - at[:, 1] * then[:, 0], self.start[:-1]) / 2

    @cached_property
    def base(self) -> Base:
        """Three corners of every polygon that span it well."""
        first = self.start[:-1]
        at = self.xy[self.corner] - self.xy[self.corner[first]][self.polygon]
        second = _largest(at[:, 0] ** 2 + at[:, 1] ** 2, self.start)
        along = at[second]
        across = along[self.polygon, 0] * at[:, 1] - along[self.polygon, 1] * at[:, 0]
        third = _largest(np.abs(across), self.start)
        determinant = across[third]
        return Base(np.stack([first, second, third], 1), along, at[third], np.where(determinant == 0, 1.0, determinant))

    @cached_property
    def weights(self) -> Floats:
        """Barycentric weights of every corner in the base of its polygon, ``(H, 3)``; exact at the base itself."""
        found = self.base.weights(
            self.xy[self.corner] - self.xy[self.corner[self.start[:-1]]][self.polygon], self.polygon
        )
        for place, corner in enumerate(self.base.corner.T):
            found[corner] = np.eye(3)[place]
        return found


class Edges(NamedTuple):
    """Distinct edges of a mesh: ``E`` of them.

    Attributes:
        low: Smaller vertex, ``(E,)``.
        high: Larger vertex, ``(E,)``.
        of_corner: Edge that each corner begins, ``(H,)``.
        first: A corner that begins it, ``(E,)``.
        second: The other one, or -1, ``(E,)``.
    """

    low: Ints
    high: Ints
    of_corner: Ints
    first: Ints
    second: Ints


class Base(NamedTuple):
    """Three corners of every polygon.

    Attributes:
        corner: The corners, ``(F, 3)``.
        along: From the first to the second, ``(F, 2)``.
        across: From the first to the third, ``(F, 2)``.
        determinant: Of the two, ``(F,)``.
    """

    corner: Ints
    along: Floats
    across: Floats
    determinant: Floats

    def weights(self, at: Floats, polygon: Ints) -> Floats:
        """Barycentric weights of points, given relative to the first corner of a polygon, ``(n, 3)``."""
        along, across, determinant = self.along[polygon], self.across[polygon], self.determinant[polygon]
        second = (at[:, 0] * across[:, 1] - at[:, 1] * across[:, 0]) / determinant
        third = (along[:, 0] * at[:, 1] - along[:, 1] * at[:, 0]) / determinant
        return np.stack([1 - second - third, second, third], 1)

    def gradients(self, values: Floats, polygon: Ints) -> Floats:
        """Gradients of affine functions from their values at the base of their polygons, ``(n, 3)`` to ``(n, 2)``."""
        along, across = self.along[polygon], self.across[polygon]
        rise = values[:, 1:] - values[:, :1]
        x = rise[:, 0] * across[:, 1] - rise[:, 1] * along[:, 1]
        y = rise[:, 1] * along[:, 0] - rise[:, 0] * across[:, 0]
        return np.stack([x, y], 1) / self.determinant[polygon][:, None]


def _largest(number: Floats, start: Ints) -> Ints:
    """Index of the (first) largest number of every row."""
    most = np.repeat(np.maximum.reduceat(number, start[:-1]), np.diff(start))
    at = np.flatnonzero(number == most)
    row = np.searchsorted(start, at, side="right") - 1
    return at[np.concatenate([[True], row[1:] != row[:-1]])]
