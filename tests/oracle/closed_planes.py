"""Networks whose restriction to a polygon in a plane is worked out by hand, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oracle.closed_forms import affine, chain
from oracle.planes import Pattern, PlaneCase, Vertex
from oracle.steps import Clamp, Maximum, MaxOver, Relu, Step

_F = Fraction
_SQUARE = [(-1, -1), (1, -1), (1, 1), (-1, 1)]


@dataclass(frozen=True, eq=False)
class KnownPlane:
    """A case and what is true of it.

    Attributes:
        case: Network and polygon.
        cells: The corners of every cell, counterclockwise from the leftmost (the lowest of several), by pattern.
        edges: How many edges there are, the border's included.
    """

    case: PlaneCase
    cells: dict[Pattern, list[Vertex]]
    edges: int


def quadrants() -> KnownPlane:
    """relu(a) and relu(b)."""
    cells = {
        ((0, 0),): [(-1, -1), (0, -1), (0, 0), (-1, 0)],
        ((1, 0),): [(0, -1), (1, -1), (1, 0), (0, 0)],
        ((0, 1),): [(-1, 0), (0, 0), (0, 1), (-1, 1)],
        ((1, 1),): [(0, 0), (1, 0), (1, 1), (0, 1)],
    }
    return _on_inputs("quadrants", chain(affine(0, np.eye(2)), affine(0, [[1, 2]])), cells, 12)


def sum_of_two() -> KnownPlane:
    """relu(relu(a) + relu(b) - 1/2): a second layer whose border is bent where the first layer bends."""
    steps = chain(affine(0, np.eye(2)), affine(0, [[1, 1]], [-0.5]), affine(0, [[1]]))
    half = _F(1, 2)
    cells = {
        ((0, 0), (0,)): [(-1, -1), (0, -1), (0, 0), (-1, 0)],
        ((1, 0), (0,)): [(0, -1), (half, -1), (half, 0), (0, 0)],
        ((1, 0), (1,)): [(half, -1), (1, -1), (1, 0), (half, 0)],
        ((0, 1), (0,)): [(-1, 0), (0, 0), (0, half), (-1, half)],
        ((0, 1), (1,)): [(-1, half), (0, half), (0, 1), (-1, 1)],
        ((1, 1), (0,)): [(0, 0), (half, 0), (0, half)],
        ((1, 1), (1,)): [(0, half), (half, 0), (1, 0), (1, 1), (0, 1)],
    }
    return _on_inputs("sum of two", steps, cells, 19)


def three_against_each_other() -> KnownPlane:
    """The largest of a, b and 0: three cells that meet in one point, whose borders end there."""
    steps = (affine(0, [[1, 0], [0, 1], [0, 0]]), MaxOver((1,), (0,)))
    cells = {
        ((0,),): [(0, -1), (1, -1), (1, 1), (0, 0)],
        ((1,),): [(-1, 0), (0, 0), (1, 1), (-1, 1)],
        ((2,),): [(-1, -1), (0, -1), (0, 0), (-1, 0)],
    }
    return _on_inputs("three against each other", steps, cells, 9)


def equal_members() -> KnownPlane:
    """The largest of relu(a), relu(a), 0 and -b: of those that are equal the first wins, 0 never."""
    steps = (affine(0, [[1, 0], [1, 0], [0, 0], [0, -1]]), Relu((1,)), affine(2, _but_last(4)), affine(1, _last(4)),
             Maximum((3, 4)), MaxOver((5,), (0,)))  # fmt: skip
    cells = {
        ((0, 0, 0, 0), (0, 0, 0, 0), (0,)): [(-1, 0), (0, 0), (0, 1), (-1, 1)],
        ((0, 0, 0, 1), (0, 0, 0, 1), (3,)): [(-1, -1), (0, -1), (0, 0), (-1, 0)],
        ((1, 1, 0, 0), (0, 0, 0, 0), (0,)): [(0, 0), (1, 0), (1, 1), (0, 1)],
        ((1, 1, 0, 1), (0, 0, 0, 1), (0,)): [(0, 0), (1, -1), (1, 0)],
        ((1, 1, 0, 1), (0, 0, 0, 1), (3,)): [(0, 0), (0, -1), (1, -1)],
    }
    return _on_inputs("equal members", steps, cells, 13)


def strips() -> KnownPlane:
    """2 a between -1 and 1, and 1, which is at a bound everywhere and not above it."""
    steps = (affine(0, [[2, 0], [0, 0]], [0, 1]), Clamp((1,), -1.0, 1.0))
    half = _F(1, 2)
    cells = {
        ((0, 1),): [(-1, -1), (-half, -1), (-half, 1), (-1, 1)],
        ((1, 1),): [(-half, -1), (half, -1), (half, 1), (-half, 1)],
        ((2, 1),): [(half, -1), (1, -1), (1, 1), (half, 1)],
    }
    return _on_inputs("strips", steps, cells, 10)


def along_the_border() -> KnownPlane:
    """Units that are zero on a side, at a corner, and nowhere: nothing is cut."""
    steps = (affine(0, [[1, 0], [1, 1], [-1, 0]], [-1, 2, -3]), Relu((1,)))
    return _on_inputs("along the border", steps, {((0, 1, 0),): [(-1, -1), (1, -1), (1, 1), (-1, 1)]}, 4)


def _but_last(count: int) -> np.ndarray:
    return np.diag([1.0] * (count - 1) + [0.0])


def _last(count: int) -> np.ndarray:
    return np.diag([0.0] * (count - 1) + [1.0])


def _on_inputs(name: str, steps: Sequence[Step], cells: dict[Pattern, list[Vertex]], edges: int) -> KnownPlane:
    """The square from -1 to 1, a and b being the two inputs."""
    u, v = np.eye(2)
    case = PlaneCase(name, tuple(steps), np.zeros(2), u, v, np.array(_SQUARE, dtype=float))
    exact = {pattern: [(_F(a), _F(b)) for a, b in corners] for pattern, corners in cells.items()}
    return KnownPlane(case, exact, edges)


KNOWN_PLANES = [
    quadrants(), sum_of_two(), three_against_each_other(), equal_members(), strips(), along_the_border(),
]  # fmt: skip
