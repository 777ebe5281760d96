"""The edges of polygons that tile a domain, from vertex to vertex, in rational arithmetic.

A vertex is a point where some polygon has a corner. A corner of one polygon within a side of another parts that side
into two edges. (In the restriction of a network there is none: its values are continuous, so a border that reaches a
side from one cell goes on in the other, straight or bent.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from oracle.polygons import Half, Point, Polygon, coordinates, ends, line

Flip = tuple[int, int, int, int]
"""(operation, flat unit, piece on the left, piece on the right)"""


@dataclass(frozen=True)
class Edge:
    """A straight line between two vertices, with no vertex between them.

    Attributes:
        start: One end.
        end: The other.
        left: Index of the polygon on the left of the way from start to end.
        right: Index of the polygon on the right, None on the border of the domain.
        flips: The units that are on different pieces on the left and on the right.
    """

    start: Point
    end: Point
    left: int
    right: int | None
    flips: frozenset[Flip]

    @property
    def ends(self) -> tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]:
        """Both ends as (a, b)."""
        return coordinates(self.start), coordinates(self.end)

    @property
    def units(self) -> frozenset[tuple[int, int]]:
        """(operation, flat unit) of all units that bend here."""
        return frozenset((operation, unit) for operation, unit, *_ in self.flips)


def edges(polygons: Sequence[Polygon], patterns: Sequence[Sequence[Sequence[int]]]) -> list[Edge]:
    """All edges of polygons that tile a convex domain.

    Raises:
        AssertionError: Two polygons are on the same side of an edge, so they overlap.
    """
    on_lines: dict[Half, list[tuple[Point, Point, int]]] = {}
    for index, polygon in enumerate(polygons):
        for p, q in ends(polygon):
            forward, backward = line(p, q), line(q, p)
            on_lines.setdefault(max(forward, backward), []).append((p, q, index))
    found = []
    for parts in on_lines.values():
        points = sorted({end for p, q, _ in parts for end in (p, q)}, key=coordinates)
        place = {point: k for k, point in enumerate(points)}
        left: dict[int, int] = {}
        right: dict[int, int] = {}
        for p, q, index in parts:
            side, low, high = (left, p, q) if place[p] < place[q] else (right, q, p)
            for k in range(place[low], place[high]):
                assert k not in side, f"polygons {side[k]} and {index} overlap"
                side[k] = index
        for k in sorted({*left, *right}):
            one, other = left.get(k), right.get(k)
            if one is None:
                found.append(Edge(points[k + 1], points[k], other, None, frozenset()))
            else:
                flips = frozenset() if other is None else _flips(patterns[one], patterns[other])
                found.append(Edge(points[k], points[k + 1], one, other, flips))
    return found


def _flips(left: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> frozenset[Flip]:
    return frozenset(
        (operation, unit, one, other)
        for operation, (before, after) in enumerate(zip(left, right, strict=True))
        for unit, (one, other) in enumerate(zip(before, after, strict=True))
        if one != other
    )
