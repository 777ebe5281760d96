"""A network restricted to a segment, in rational arithmetic: no rounding anywhere.

On an interval between two knots each value is affine in t, that is a pair of rational arrays (constant, slope); a
bending step cuts the interval where a unit goes from one piece to another, exactly, and each part is followed to the
output on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from oracle.affine import apply
from oracle.bends import bend
from oracle.exact import Exact, Line
from oracle.steps import Bending, Case, Step

Flip = tuple[int, int, int, int]
"""(operation, flat unit, piece before, piece after)"""


@dataclass(frozen=True)
class Piece:
    """An open interval on which the network is affine, with the pattern there: for each bending step a piece a unit."""

    low: Fraction
    high: Fraction
    pattern: tuple[tuple[int, ...], ...]
    output: Line


@dataclass(frozen=True)
class Restriction:
    """A network on a segment.

    Attributes:
        pieces: The affine pieces, in order; neighbours differ in their patterns.
        squared_length: Square of the segment's length.
    """

    pieces: tuple[Piece, ...]
    squared_length: Fraction

    @property
    def knots(self) -> list[Fraction]:
        """0, the interior knots, 1."""
        return [self.pieces[0].low] + [piece.high for piece in self.pieces]

    @property
    def flips(self) -> list[tuple[Fraction, frozenset[Flip]]]:
        """What changes at each interior knot."""
        return [(left.high, _changes(left.pattern, right.pattern)) for left, right in pairwise(self.pieces)]

    @property
    def outputs(self) -> list[list[Fraction]]:
        """Outputs at the knots."""
        return [self.pieces[0].output.at(self.pieces[0].low)] + [piece.output.at(piece.high) for piece in self.pieces]

    @property
    def mean_absolute_deviation(self) -> list[Fraction]:
        """Integral over t of ``|f - a|`` for each output, a affine through both ends (the length left out)."""
        return [_mean_gap(self.knots, values) for values in zip(*self.outputs, strict=True)]

    @property
    def total_variation(self) -> list[Fraction]:
        """Sum over the pieces of ``|f(right) - f(left)|`` for each output."""
        return [sum((abs(b - a) for a, b in pairwise(one)), Fraction(0)) for one in zip(*self.outputs, strict=True)]

    def flips_of_units(self) -> dict[tuple[int, int], list[tuple[Fraction, int, int]]]:
        """(t, before, after) of every unit that flips, by (operation, unit)."""
        found: dict[tuple[int, int], list[tuple[Fraction, int, int]]] = {}
        for t, changed in self.flips:
            for operation, unit, before, after in changed:
                found.setdefault((operation, unit), []).append((t, before, after))
        return found

    @property
    def linear_crossings(self) -> int:
        """Interior knots at which the slope of some output changes."""
        slopes = [piece.output.slope.fractions() for piece in self.pieces]
        return sum(left != right for left, right in pairwise(slopes))


def assert_tiles_the_segment(found: Restriction) -> None:
    """Pieces from 0 to 1 without gaps, continuous, and each with another pattern than the one before."""
    assert found.pieces[0].low == 0
    assert found.pieces[-1].high == 1
    for left, right in pairwise(found.pieces):
        assert left.low < left.high == right.low
        assert left.output.at(left.high) == right.output.at(right.low)
    assert all(flips for _, flips in found.flips)


def restrict(case: Case) -> Restriction:
    """Follow the segment of a case through its network."""
    return between(case.steps, Exact.of(case.start), Exact.of(case.end))


def between(steps: Sequence[Step], start: Exact, end: Exact) -> Restriction:
    """The same for any two points with rational coordinates."""
    direction = end + -start
    pieces = _follow(steps, 0, Fraction(0), Fraction(1), [Line(start, direction)], ())
    return Restriction(tuple(pieces), sum((d * d for d in direction.fractions()), Fraction(0)))


def _follow(
    steps: Sequence[Step],
    at: int,
    low: Fraction,
    high: Fraction,
    values: list[Line],
    pattern: tuple[tuple[int, ...], ...],
) -> list[Piece]:
    """The pieces between ``low`` and ``high``, where all ``values`` so far are affine."""
    while at < len(steps) and not isinstance(steps[at], Bending):
        values = [*values, apply(steps[at], *(values[source] for source in steps[at].sources))]
        at += 1
    if at == len(steps):
        return [Piece(low, high, pattern, values[-1])]
    pieces = []
    for part in bend(steps[at], low, high, *(values[source] for source in steps[at].sources)):
        pieces += _follow(steps, at + 1, part.low, part.high, [*values, part.value], (*pattern, part.pieces))
    return pieces


def _changes(before: tuple[tuple[int, ...], ...], after: tuple[tuple[int, ...], ...]) -> frozenset[Flip]:
    return frozenset(
        (operation, unit, old, new)
        for operation, (left, right) in enumerate(zip(before, after, strict=True))
        for unit, (old, new) in enumerate(zip(left, right, strict=True))
        if old != new
    )


def _mean_gap(knots: Sequence[Fraction], values: Sequence[Fraction]) -> Fraction:
    """Area between a polygon over [0, 1] and the chord of its ends."""
    gaps = [value - (values[0] + t * (values[-1] - values[0])) for t, value in zip(knots, values, strict=True)]
    areas = (_area(right - left, *ends) for (left, right), ends in zip(pairwise(knots), pairwise(gaps), strict=True))
    return sum(areas, Fraction(0))


def _area(width: Fraction, left: Fraction, right: Fraction) -> Fraction:
    """Area between the axis and a line worth ``left`` and ``right`` at its ends: a trapezium or two triangles."""
    if left * right >= 0:
        return width * (abs(left) + abs(right)) / 2
    root = width * left / (left - right)
    return (root * abs(left) + (width - root) * abs(right)) / 2
