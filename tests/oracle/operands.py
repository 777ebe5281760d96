"""A network at single points: what every bending step reads there, and which piece each of its units is on.

Unlike on an interval, at a point several pieces may fit; the lowest is given, for windows the first winner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oracle.affine import apply
from oracle.bends import hinge_of, side_by_side
from oracle.exact import Exact, Line
from oracle.steps import Bending, Case, Minimum, MinOver, OverWindows, Step
from oracle.windows import windows


@dataclass(frozen=True)
class At:
    """A bending step at a point.

    Attributes:
        step: The step.
        shapes: Shapes of its operands.
        entries: All entries of its operands, one operand after the other.
        pieces: Piece of each unit.
    """

    step: Bending
    shapes: tuple[tuple[int, ...], ...]
    entries: list[Fraction]
    pieces: tuple[int, ...]


def bends_at(case: Case, t: Fraction) -> list[At]:
    """All bending steps of a network at one point of its segment."""
    start, end = Exact.of(case.start), Exact.of(case.end)
    return bends_of(case.steps, start + (end + -start).times(t))


def bends_of(steps: Sequence[Step], point: Exact) -> list[At]:
    """All bending steps of a network at an input."""
    values, found = [Line(point, Exact(np.zeros(point.over.shape, dtype=object), 1))], []
    for step in steps:
        operands = [values[source] for source in step.sources]
        if isinstance(step, Bending):
            at, value = _bent(step, operands)
            found.append(at)
            values.append(value)
        else:
            values.append(apply(step, *operands))
    return found


def _bent(step: Bending, operands: Sequence[Line]) -> tuple[At, Line]:
    entries = side_by_side([operand.constant for operand in operands]).fractions()
    shapes = tuple(operand.constant.over.shape for operand in operands)
    bent = _over_windows if isinstance(step, OverWindows) else _unit_wise
    pieces, results, shape = bent(step, entries, shapes)
    value = Exact.of_fractions(results)
    zero = Exact(np.zeros(shape, dtype=object), 1)
    return At(step, shapes, entries, tuple(pieces)), Line(Exact(value.over.reshape(shape), value.under), zero)


def _unit_wise(step: Step, entries: list[Fraction], shapes: Sequence[tuple[int, ...]]) -> tuple:
    hinge = hinge_of(step)
    pieces = [sum(entry > threshold for threshold in hinge.thresholds) for entry in entries]
    in_channel = int(np.prod(shapes[0][1:]))
    results = []
    for unit, (entry, piece) in enumerate(zip(entries, pieces, strict=True)):
        factors = hinge.factors[piece]
        results.append(entry * (factors[unit // in_channel] if len(factors) > 1 else factors[0]) + hinge.shifts[piece])
    return pieces, results, shapes[0]


def _over_windows(step: Step, entries: list[Fraction], shapes: Sequence[tuple[int, ...]]) -> tuple:
    seen = windows(step, *shapes)
    best = min if isinstance(step, Minimum | MinOver) else max
    results = [best(entries[at] for at in members if at is not None) for members in seen.members]
    pieces = [
        next(piece for piece, at in enumerate(members) if at is not None and entries[at] == result)
        for members, result in zip(seen.members, results, strict=True)
    ]
    return pieces, results, seen.shape
