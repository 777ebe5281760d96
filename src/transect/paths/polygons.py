"""Convex polygons, in exact arithmetic: their corners are numbers of float64, and so are fractions.

Rounding decides nothing here: whether a corner is convex, what a polygon's area is and what a rectangle leaves of it
are right for the corners as they are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor

from transect.errors import InvalidInput

Point = tuple[Fraction, Fraction]
_LEAST_FILLED = Fraction(1, 10**12)  # of the rectangle around it, for a polygon that is not a line
_ROUNDINGS = Fraction(8, 2**52)  # of coordinates, by which a corner on a straight edge may lie beside it


def convex_corners(corners: Tensor) -> Tensor:
    """Corners of a convex polygon, counter-clockwise, without those on a straight edge.

    A corner is left out where it lies on the straight edge between others exactly, or inside of it by no more than
    its coordinates may be rounded. The first stays first, if it stays.

    Args:
        corners: ``(K, 2)`` float64 on the CPU, finite.

    Raises:
        InvalidInput: There are fewer than three, some repeat, all lie on a line, edges cross, or one is not convex.
    """
    if len(corners) < 3:
        raise InvalidInput(f"corners: expected at least three, shape (K, 2) with K >= 3, got {len(corners)}.")
    points = _exact(corners)
    index = _distinct(points)
    around = _hull(points)
    if _is_line(around):
        raise InvalidInput(
            "corners: expected a polygon with an area, got corners on one line (less than 1e-12 of the rectangle "
            f"around them is filled); move one of the {len(points)} away from it."
        )
    order = _turned_left([index[point] for point in around], len(points))
    kept = set(around)
    start = next(place for place, i in enumerate(order) if points[i] in kept)
    order = order[start:] + order[:start]
    slack = [_ROUNDINGS * max(abs(point[axis]) for point in points) for axis in (0, 1)]
    edge: list[int] = []
    for i in [*order, order[0]]:
        edge.append(i)
        if len(edge) > 1 and points[i] in kept:
            _check_straight(edge, points, slack)
            edge = [i]
    return corners[[i for i in order if points[i] in kept]]


def area(corners: Tensor) -> Fraction:
    """Area of a polygon given counter-clockwise, ``(K, 2)``."""
    return _doubled_area(_exact(corners)) / 2


def in_rectangle(corners: Tensor, low: Sequence[float], high: Sequence[float]) -> Tensor | None:
    """The part of a convex polygon in a rectangle: cut exactly, its corners rounded to float64 once.

    Args:
        corners: ``(K, 2)``, counter-clockwise.
        low: Least coordinates of the rectangle.
        high: Largest ones.

    Returns:
        Corners, ``(L, 2)``; None where nothing with an area is left.
    """
    points = _exact(corners)
    for axis in (0, 1):
        points = _cut(points, axis, Fraction(low[axis]), 1)
        points = _cut(points, axis, Fraction(high[axis]), -1)
    rounded = _hull([(Fraction(float(a)), Fraction(float(b))) for a, b in points])  # rounding may bend a straight edge
    if _is_line(rounded):
        return None
    return torch.tensor([(float(a), float(b)) for a, b in rounded], dtype=torch.float64, device="cpu")


def _exact(corners: Tensor) -> list[Point]:
    return [(Fraction(a), Fraction(b)) for a, b in corners.tolist()]


def _cross(origin: Point, first: Point, second: Point) -> Fraction:
    """Twice the area of a triangle, positive where it is counter-clockwise."""
    return (first[0] - origin[0]) * (second[1] - origin[1]) - (first[1] - origin[1]) * (second[0] - origin[0])


def _doubled_area(points: Sequence[Point]) -> Fraction:
    return sum((_cross(points[0], *pair) for pair in pairwise(points[1:])), Fraction(0))


def _hull(points: Sequence[Point]) -> list[Point]:
    """Corners of the convex hull, counter-clockwise and strictly convex (Andrew's monotone chain)."""
    found: list[Point] = []
    ordered = sorted(set(points))
    for chain in (ordered, ordered[::-1]):
        half: list[Point] = []
        for point in chain:
            while len(half) > 1 and _cross(half[-2], half[-1], point) <= 0:
                half.pop()
            half.append(point)
        found += half[:-1]
    return found


def _is_line(around: Sequence[Point]) -> bool:
    """Whether a hull has no area, or next to none: its share of the rectangle does not depend on the axes' units."""
    if len(around) < 3:
        return True
    width, height = (max(column) - min(column) for column in zip(*around, strict=True))
    return bool(_doubled_area(around) < 2 * _LEAST_FILLED * width * height)


def _cut(points: Sequence[Point], axis: int, bound: Fraction, sign: int) -> list[Point]:
    """The part of a convex polygon on one side of an axis-parallel line (Sutherland and Hodgman)."""
    kept: list[Point] = []
    for before, point in zip([*points[-1:], *points[:-1]], points, strict=True):
        here, there = sign * (point[axis] - bound), sign * (before[axis] - bound)
        if here * there < 0:
            share = there / (there - here)
            kept.append((before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])))
        if here >= 0:
            kept.append(point)
    return kept


def _distinct(points: Sequence[Point]) -> dict[Point, int]:
    """The index of each corner.

    Raises:
        InvalidInput: Two are the same.
    """
    index: dict[Point, int] = {}
    for i, point in enumerate(points):
        if index.setdefault(point, i) != i:
            raise InvalidInput(
                f"corners: corners {index[point]} and {i} are the same point. Leave one of them out (the last need not "
                "repeat the first)."
            )
    return index


def _turned_left(around: Sequence[int], count: int) -> list[int]:
    """Indices of all corners in the order, from the first, in which those of the hull are met counter-clockwise.

    A polygon whose edges do not cross meets the corners of its hull in their order.

    Raises:
        InvalidInput: They are met in neither direction.
    """
    first = min(range(len(around)), key=around.__getitem__)
    places = [*around[first:], *around[:first]]
    if places == sorted(places):
        return list(range(count))
    if places[1:] == sorted(places[1:], reverse=True):
        return [0, *range(count - 1, 0, -1)]
    raise InvalidInput(
        "corners: expected a convex polygon, got edges that cross each other; give the corners in their order around "
        f"it, here {', '.join(map(str, places))}."
    )


def _check_straight(edge: Sequence[int], points: Sequence[Point], slack: Sequence[Fraction]) -> None:
    """Refuse corners between two of the hull that do not lie on the edge between these, one after the other."""
    start, end = points[edge[0]], points[edge[-1]]
    along = [end[axis] - start[axis] for axis in (0, 1)]
    most = abs(along[0]) * slack[1] + abs(along[1]) * slack[0]
    for i in edge[1:-1]:
        if _cross(start, end, points[i]) > most:
            raise InvalidInput(
                f"corners: expected a convex polygon, but corner {i} lies inside of the edge from corner {edge[0]} to "
                f"corner {edge[-1]}; leave it out, or cut the domain into convex ones."
            )
    axis = 0 if abs(along[0]) * slack[1] >= abs(along[1]) * slack[0] else 1
    places = [points[i][axis] * (1 if along[axis] > 0 else -1) for i in edge]
    for i, before, place in zip(edge[1:], places, places[1:], strict=False):
        if place <= before:
            raise InvalidInput(
                f"corners: expected a convex polygon, but its edge runs back on itself at corner {i}; give the corners "
                "in their order around it."
            )
