"""A network restricted to a convex polygon in a plane, in rational arithmetic: no rounding anywhere.

The plane is ``x(a, b) = origin + a * u + b * v``. On a cell each value is affine in a and b; a bending step cuts the
cell where a unit goes from one piece to another, exactly, and each part is followed to the output on its own. So a cell
is all that has its pattern: given the pattern of the steps before, what a step reads is one affine function, a piece of
a hinge lies between two parallel lines, and the winner of a window wins on an intersection of half-planes.

Pieces are those of :mod:`oracle.bends`: a value that equals a threshold all over a cell is not above it, and of several
members of a window that are the largest all over a cell the first one counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial

import numpy as np

from oracle.affine import apply
from oracle.bends import Hinge, bent, hinge_of, side_by_side, winners
from oracle.exact import Exact, Sheet
from oracle.polygons import (
    Half,
    Point,
    Polygon,
    area,
    centroid,
    contains,
    convex_polygon,
    coordinates,
    cut,
    interval,
    point,
    squared_width,
    worth,
)
from oracle.steps import Bending, Minimum, MinOver, OverWindows, Step
from oracle.tilings import Edge, edges
from oracle.windows import windows

Vertex = tuple[Fraction, Fraction]
"""(a, b)"""
Pattern = tuple[tuple[int, ...], ...]
"""For each bending step the piece of each flat unit."""


class TooManyCells(Exception):
    """A restriction has more cells than were asked for."""


@dataclass(frozen=True, eq=False)
class PlaneCase:
    """A network and a polygon in a plane.

    Attributes:
        name: What it is, for messages.
        steps: The network.
        origin: The input at a = b = 0, float64.
        u: By what the input changes with a.
        v: By what it changes with b.
        corners: Corners (a, b) of the polygon, convex, ``(K, 2)`` float64, in either direction.
    """

    name: str
    steps: tuple[Step, ...]
    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray
    corners: np.ndarray

    def __repr__(self) -> str:
        kinds = " ".join(type(step).__name__ for step in self.steps)
        corners = ", ".join(f"({a!r}, {b!r})" for a, b in self.corners.tolist())
        return f"PlaneCase({self.name}: {self.origin.shape} -> {kinds}, over {corners})"

    @property
    def plane(self) -> Sheet:
        """The input."""
        return Sheet(*(Exact.of(part) for part in (self.origin, self.u, self.v)))


@dataclass(frozen=True)
class Cell:
    """An open convex polygon on which the network is affine, with the pattern there.

    Attributes:
        polygon: Its corners, counterclockwise, no three on a line.
        pattern: The piece of every unit.
        output: The flat output as a function of a and b.
    """

    polygon: Polygon
    pattern: Pattern
    output: Sheet

    @cached_property
    def vertices(self) -> tuple[Vertex, ...]:
        """Its corners as (a, b), counterclockwise."""
        return tuple(map(coordinates, self.polygon))

    @cached_property
    def area(self) -> Fraction:
        return area(self.polygon)

    @cached_property
    def centroid(self) -> Vertex:
        return centroid(self.polygon)

    @cached_property
    def width(self) -> float:
        """Smallest distance of two parallel lines with the cell between them."""
        return math.sqrt(squared_width(self.polygon))


@dataclass(frozen=True)
class Tiling:
    """A network on a polygon.

    Attributes:
        domain: Corners of the polygon, counterclockwise.
        cells: The cells, each with another pattern.
    """

    domain: Polygon
    cells: tuple[Cell, ...]

    @cached_property
    def edges(self) -> list[Edge]:
        """All edges, also those on the border of the domain, from vertex to vertex."""
        return edges([cell.polygon for cell in self.cells], [cell.pattern for cell in self.cells])

    @property
    def inner_edges(self) -> list[Edge]:
        """Those with a cell on either side."""
        return [edge for edge in self.edges if edge.right is not None]

    @cached_property
    def vertices(self) -> list[Vertex]:
        """All points where some cell has a corner."""
        return [coordinates(corner) for corner in self.cells_at]

    @cached_property
    def cells_at(self) -> dict[Point, list[int]]:
        """The cells that have a corner at each vertex."""
        found: dict[Point, list[int]] = {}
        for index, cell in enumerate(self.cells):
            for corner in cell.polygon:
                found.setdefault(corner, []).append(index)
        return found

    @property
    def euler(self) -> int:
        """Vertices - edges + cells: 1 where the cells tile a polygon."""
        return len(self.vertices) - len(self.edges) + len(self.cells)

    @cached_property
    def area(self) -> Fraction:
        """Of all cells."""
        return sum((cell.area for cell in self.cells), Fraction(0))

    @cached_property
    def by_pattern(self) -> dict[Pattern, Cell]:
        return {cell.pattern: cell for cell in self.cells}

    def around(self, a: Fraction, b: Fraction) -> list[Cell]:
        """The cells that have a point inside or on their border: one, or several where it is on a common border."""
        at = point(Fraction(a), Fraction(b))
        return [cell for cell in self.cells if contains(cell.polygon, at)]

    def along(self, p: Vertex, q: Vertex) -> list[tuple[Fraction, Fraction, Cell]]:
        """The cells that the way from p (0) to q (1) leads through, each with its interval, in order.

        Where the way leads along an edge it is in no cell.
        """
        found = [(*inside, cell) for cell in self.cells if (inside := interval(cell.polygon, p, q))]
        return sorted(found, key=lambda one: one[0])


def restrict_to_plane(case: PlaneCase, most: float = math.inf) -> Tiling:
    """All cells of a network on a polygon.

    Args:
        case: The network and the polygon.
        most: How many cells there may be.

    Raises:
        TooManyCells: There are more.
    """
    domain = convex_polygon([(Fraction(a), Fraction(b)) for a, b in case.corners.tolist()])
    cells: list[Cell] = []
    _follow(case.steps, 0, domain, [case.plane], (), cells, most)
    assert len({cell.pattern for cell in cells}) == len(cells), "two cells with the same pattern"
    return Tiling(domain, tuple(cells))


def _follow(
    steps: Sequence[Step],
    at: int,
    polygon: Polygon,
    values: list[Sheet],
    pattern: Pattern,
    cells: list[Cell],
    most: float,
) -> None:
    """Add the cells within a polygon on which all ``values`` so far are affine."""
    while at < len(steps) and not isinstance(steps[at], Bending):
        operands = [values[source] for source in steps[at].sources]
        along_a = apply(steps[at], *(operand.along_a for operand in operands))
        along_b = apply(steps[at], *(operand.along_b for operand in operands))
        values = [*values, Sheet.of(along_a, along_b)]
        at += 1
    if at == len(steps):
        cells.append(Cell(polygon, pattern, values[-1]))
        return
    step, operands = steps[at], [values[source] for source in steps[at].sources]
    parts = _overlaid(polygon, _units(step, operands), most - len(cells))
    for part, pieces in parts:
        value = _on_pieces(step, pieces, operands)
        _follow(steps, at + 1, part, [*values, value], (*pattern, pieces), cells, most)
    if len(cells) > most:
        raise TooManyCells(f"more than {most} cells")


Split = Callable[[Polygon], list[tuple[int, Polygon]]]
"""What one unit makes of a polygon: its pieces, and where it is on each."""


def _overlaid(polygon: Polygon, units: Sequence[Split], most: float) -> list[tuple[Polygon, tuple[int, ...]]]:
    """The parts of a polygon on which all units of a step are on one piece, and the pieces."""
    pieces, bending = [], []
    for unit, split in enumerate(units):
        whole = split(polygon)
        pieces.append(whole[0][0])
        if len(whole) > 1:
            bending.append((unit, split))
    parts = [(polygon, tuple(pieces))]
    for unit, split in bending:
        parts = [
            (smaller, (*known[:unit], piece, *known[unit + 1 :]))
            for part, known in parts
            for piece, smaller in split(part)
        ]
        if len(parts) > most:
            raise TooManyCells(f"a step alone has more than {most}")
    return parts


def _units(step: Bending, operands: Sequence[Sheet]) -> list[Split]:
    functions, under = _functions(operands)
    if not isinstance(step, OverWindows):
        thresholds = hinge_of(step).thresholds
        return [partial(_by_thresholds, [_minus(function, h, under) for h in thresholds]) for function in functions]
    if isinstance(step, Minimum | MinOver):
        functions = [(-c, -a, -b) for c, a, b in functions]
    splits: list[Split] = []
    for members in windows(step, *(operand.constant.over.shape for operand in operands)).members:
        first: dict[Half, int] = {}
        for place, member in enumerate(members):
            if member is not None:
                first.setdefault(functions[member], place)
        splits.append(partial(_by_winners, first))
    return splits


def _functions(operands: Sequence[Sheet]) -> tuple[list[Half], int]:
    """Constant and slopes of all entries of all operands, over one common denominator."""
    parts = [side_by_side([getattr(operand, name) for operand in operands]) for name in ("constant", "by_a", "by_b")]
    under = math.lcm(*(part.under for part in parts))
    return list(zip(*((part.over * (under // part.under)).tolist() for part in parts), strict=True)), under


def _minus(function: Half, threshold: Fraction, under: int) -> Half:
    constant, by_a, by_b = (coefficient * threshold.denominator for coefficient in function)
    return constant - threshold.numerator * under, by_a, by_b


def _by_thresholds(distances: Sequence[Half], polygon: Polygon) -> list[tuple[int, Polygon]]:
    """What lies below the first threshold, between it and the next, and so on."""
    found: list[tuple[int, Polygon]] = []
    rest: Polygon | None = polygon
    for piece, distance in enumerate(distances):
        rest, below = cut(rest, distance)
        if below is not None:
            found.append((piece, below))
        if rest is None:
            return found
    return [*found, (len(distances), rest)]


def _by_winners(members: dict[Half, int], polygon: Polygon) -> list[tuple[int, Polygon]]:
    """For every member what is left of a polygon when all that is larger elsewhere is cut off.

    Args:
        members: The different functions that compete, and the first place that each has in the window.
    """
    at_corners = {function: [worth(function, corner) for corner in polygon] for function in members}
    found = []
    for function, place in members.items():
        others = [other for other in members if other != function]
        if any(all(x <= y for x, y in zip(at_corners[function], at_corners[other])) for other in others):
            continue  # another one is larger all over the polygon
        part: Polygon | None = polygon
        for other in others:
            part, _ = cut(part, tuple(x - y for x, y in zip(function, other)))
            if part is None:
                break
        else:
            found.append((place, part))
    return found


def _on_pieces(step: Bending, pieces: tuple[int, ...], operands: Sequence[Sheet]) -> Sheet:
    """The result of a bending step whose units are on these pieces."""
    if not isinstance(step, OverWindows):
        hinge: Hinge = hinge_of(step)
        return Sheet.of(*(bent(hinge, pieces, line) for line in (operands[0].along_a, operands[0].along_b)))
    seen = windows(step, *(operand.constant.over.shape for operand in operands))
    names = ("constant", "by_a", "by_b")
    entries = Sheet(*(side_by_side([getattr(operand, name) for operand in operands]) for name in names))
    return Sheet.of(*(winners(seen, pieces, line) for line in (entries.along_a, entries.along_b)))
