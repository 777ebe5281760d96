"""Convex polygons in the plane of (a, b), and cutting them, in rational arithmetic.

A point is three integers without a common divisor (a * w, b * w, w), w positive, so that equal points are equal tuples
and the side of a line on which a point lies is the sign of a sum of three products. A polygon lists its corners
counterclockwise; no three of them are on a line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

Point = tuple[int, int, int]
Polygon = tuple[Point, ...]
Interval = tuple[Fraction, Fraction]
Half = tuple[int, int, int]
"""A function ``constant + by_a * a + by_b * b``, times any positive number; its half-plane is where it is positive."""


def point(a: Fraction, b: Fraction) -> Point:
    w = math.lcm(a.denominator, b.denominator)
    return (a.numerator * (w // a.denominator), b.numerator * (w // b.denominator), w)


def coordinates(corner: Point) -> tuple[Fraction, Fraction]:
    a, b, w = corner
    return Fraction(a, w), Fraction(b, w)


def worth(half: Half, corner: Point) -> int:
    """What a function is worth at a point, times the point's denominator: its sign counts."""
    return half[0] * corner[2] + half[1] * corner[0] + half[2] * corner[1]


def convex_polygon(corners: Sequence[tuple[Fraction, Fraction]]) -> Polygon:
    """The polygon with these corners, given in either direction.

    Raises:
        ValueError: It is not convex, or has a corner that is none.
    """
    polygon = tuple(point(a, b) for a, b in corners)
    polygon = polygon if area(polygon) > 0 else polygon[::-1]
    for side, (p, q) in zip(sides(polygon), ends(polygon), strict=True):
        if not all(worth(side, corner) > 0 for corner in polygon if corner not in (p, q)):
            raise ValueError(f"no convex polygon with a corner at each of these points: {corners}")
    return polygon


def ends(polygon: Polygon) -> list[tuple[Point, Point]]:
    """Both ends of every side, counterclockwise."""
    return list(zip(polygon, polygon[1:] + polygon[:1], strict=True))


def sides(polygon: Polygon) -> list[Half]:
    """For every side the line through it, positive within the polygon."""
    return [line(p, q) for p, q in ends(polygon)]


def contains(polygon: Polygon, at: Point) -> bool:
    """Whether a point is in a polygon or on its border."""
    return all(worth(half, at) >= 0 for half in sides(polygon))


def line(p: Point, q: Point) -> Half:
    """The line through two points, positive on the left of the way from p to q; without a common divisor."""
    half = (p[0] * q[1] - p[1] * q[0], p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2])
    divisor = math.gcd(*half)
    return (half[0] // divisor, half[1] // divisor, half[2] // divisor)


def cut(polygon: Polygon, half: Half) -> tuple[Polygon | None, Polygon | None]:
    """The parts of a polygon where a function is positive, and where it is not; None for a part without area."""
    values = [worth(half, corner) for corner in polygon]
    if max(values) <= 0:
        return None, polygon
    if min(values) >= 0:
        return polygon, None
    above, below = [], []
    for index, (corner, value) in enumerate(zip(polygon, values, strict=True)):
        before, value_before = polygon[index - 1], values[index - 1]
        if value * value_before < 0:
            between = _between(before, value_before, corner, value)
            above.append(between)
            below.append(between)
        if value >= 0:
            above.append(corner)
        if value <= 0:
            below.append(corner)
    return tuple(above), tuple(below)


def _between(p: Point, at_p: int, q: Point, at_q: int) -> Point:
    """Where a function is zero that has values of opposite signs at two points."""
    x, y, w = (at_p * z - at_q * y for y, z in zip(p, q, strict=True))
    divisor = math.gcd(x, y, w) * (1 if w > 0 else -1)
    return (x // divisor, y // divisor, w // divisor)


def area(polygon: Polygon) -> Fraction:
    doubled = (Fraction(p[0] * q[1] - p[1] * q[0], p[2] * q[2]) for p, q in ends(polygon))
    return sum(doubled, Fraction(0)) / 2


def centroid(polygon: Polygon) -> tuple[Fraction, Fraction]:
    """The centre of its area."""
    first, *others = map(coordinates, polygon)
    total = moment_a = moment_b = Fraction(0)
    for (a, b), (c, d) in pairwise(others):
        doubled = (a - first[0]) * (d - first[1]) - (b - first[1]) * (c - first[0])
        total += doubled
        moment_a += doubled * (first[0] + a + c)
        moment_b += doubled * (first[1] + b + d)
    return moment_a / total / 3, moment_b / total / 3


def squared_width(polygon: Polygon) -> Fraction:
    """Square of the smallest distance of two parallel lines with the polygon between them."""
    widths = []
    for half in sides(polygon):
        reach = max(Fraction(worth(half, corner), corner[2]) for corner in polygon)
        widths.append(reach**2 / (half[1] ** 2 + half[2] ** 2))
    return min(widths)


def interval(polygon: Polygon, p: tuple[Fraction, Fraction], q: tuple[Fraction, Fraction]) -> Interval | None:
    """Where, from 0 at p to 1 at q, the way from one point to another is inside; None where it is nowhere."""
    low, high = Fraction(0), Fraction(1)
    for half in sides(polygon):
        at_p, at_q = (half[0] + half[1] * a + half[2] * b for a, b in (p, q))
        if at_p <= 0 and at_q <= 0:
            return None
        if at_p < 0 or at_q < 0:
            t = at_p / (at_p - at_q)
            low, high = (max(low, t), high) if at_p < 0 else (low, min(high, t))
    return (low, high) if low < high else None
