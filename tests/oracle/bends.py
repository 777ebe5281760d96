"""Every bending step, executed in rational arithmetic on an interval where its operands are affine in t.

Pieces are numbered: those of a unit-wise step by how many of its thresholds lie below the value, those of a step over
windows by the position of the winner in its window. A value that equals a threshold all along an interval is not above
it, and of several members of a window that win together the first one counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import singledispatch
from itertools import pairwise

import numpy as np

from oracle.exact import Exact, Line
from oracle.steps import (
    Absolute,
    Bending,
    Clamp,
    HardSigmoid,
    LeakyRelu,
    Maximum,
    MaxOver,
    MaxPool,
    Minimum,
    MinOver,
    Prelu,
    Relu,
    SoftShrink,
)
from oracle.windows import Windows, windows


@dataclass(frozen=True)
class Part:
    """A part of an interval on which a bending step is affine: the piece of each unit there, and the result."""

    low: Fraction
    high: Fraction
    pieces: tuple[int, ...]
    value: Line


@dataclass(frozen=True)
class Hinge:
    """A unit-wise step: at piece p a value x becomes ``factors[p] * x + shifts[p]``.

    Attributes:
        thresholds: Where its pieces meet, ascending.
        factors: For each piece one factor, or one for each channel.
        shifts: For each piece a number.
    """

    thresholds: tuple[Fraction, ...]
    factors: tuple[tuple[Fraction, ...], ...]
    shifts: tuple[Fraction, ...]


@singledispatch
def bend(step: Bending, low: Fraction, high: Fraction, *values: Line) -> list[Part]:
    """The parts of the interval from ``low`` to ``high`` on which a step is affine; neighbours differ in a piece."""
    raise NotImplementedError(type(step).__name__)


@bend.register(Relu | LeakyRelu | Prelu | Clamp | HardSigmoid | SoftShrink | Absolute)
def _(step: Bending, low: Fraction, high: Fraction, z: Line) -> list[Part]:
    hinge = hinge_of(step)
    cuts = {t for threshold in hinge.thresholds for t in z.meets(threshold) if low < t < high}
    parts = []
    for left, right in pairwise([low, *sorted(cuts), high]):
        pieces = _pieces(hinge, z.value((left + right) / 2))
        parts.append(Part(left, right, pieces, bent(hinge, pieces, z)))
    return parts


@bend.register(MaxPool | Maximum | Minimum | MaxOver | MinOver)
def _(step: Bending, low: Fraction, high: Fraction, *values: Line) -> list[Part]:
    seen = windows(step, *(value.constant.over.shape for value in values))
    constant = side_by_side([value.constant for value in values])
    slope = side_by_side([value.slope for value in values])
    sign = -1 if isinstance(step, Minimum | MinOver) else 1
    lines = list(zip(sign * constant.over * slope.under, sign * slope.over * constant.under, strict=True))
    won = [envelope([None if at is None else lines[at] for at in members], low, high) for members in seen.members]
    cuts = {t for changes in won for t, _ in changes[1:]}
    parts = []
    for left, right in pairwise([low, *sorted(cuts), high]):
        pieces = tuple(next(piece for t, piece in reversed(changes) if t <= left) for changes in won)
        parts.append(Part(left, right, pieces, winners(seen, pieces, Line(constant, slope))))
    return parts


@singledispatch
def hinge_of(step: Bending) -> Hinge:
    """Where a unit-wise step bends, and its pieces."""
    raise NotImplementedError(type(step).__name__)


@hinge_of.register
def _(step: Relu) -> Hinge:
    return _hinge([0], [0, 1], [0, 0])


@hinge_of.register
def _(step: LeakyRelu) -> Hinge:
    return _hinge([0], [step.slope, 1], [0, 0])


@hinge_of.register
def _(step: Prelu) -> Hinge:
    slopes = tuple(Fraction(float(slope)) for slope in step.slopes)
    return Hinge((Fraction(0),), (slopes, (Fraction(1),) * len(slopes)), (Fraction(0), Fraction(0)))


@hinge_of.register
def _(step: Clamp) -> Hinge:
    bounds = [bound for bound in (step.low, step.high) if bound is not None]
    below = [] if step.low is None else [step.low]
    above = [] if step.high is None else [step.high]
    return _hinge(bounds, [0 for _ in below] + [1] + [0 for _ in above], [*below, 0, *above])


@hinge_of.register
def _(step: HardSigmoid) -> Hinge:
    return _hinge([-3, 3], [0, Fraction(1, 6), 0], [0, Fraction(1, 2), 1])


@hinge_of.register
def _(step: SoftShrink) -> Hinge:
    return _hinge([-step.reach, step.reach], [1, 0, 1], [step.reach, 0, -step.reach])


@hinge_of.register
def _(step: Absolute) -> Hinge:
    return _hinge([0], [-1, 1], [0, 0])


def _hinge(
    thresholds: Sequence[float], factors: Sequence[float | Fraction], shifts: Sequence[float | Fraction]
) -> Hinge:
    return Hinge(
        tuple(Fraction(threshold) for threshold in thresholds),
        tuple((Fraction(factor),) for factor in factors),
        tuple(Fraction(shift) for shift in shifts),
    )


def _pieces(hinge: Hinge, z: Exact) -> tuple[int, ...]:
    """For each unit how many thresholds it is above."""
    above = [z.over.reshape(-1) * h.denominator > h.numerator * z.under for h in hinge.thresholds]
    return tuple(int(count) for count in np.sum(np.array(above, dtype=int), 0))


def bent(hinge: Hinge, pieces: Sequence[int], z: Line) -> Line:
    """The result of a unit-wise step whose units are on these pieces."""
    shape = z.constant.over.shape
    factors = [hinge.factors[piece] for piece in pieces]
    in_channel = math.prod(shape[1:])
    factor = Exact.of_fractions([f[unit // in_channel] if len(f) > 1 else f[0] for unit, f in enumerate(factors)])
    shift = Exact.of_fractions([hinge.shifts[piece] for piece in pieces])
    factor, shift = Exact(factor.over.reshape(shape), factor.under), Exact(shift.over.reshape(shape), shift.under)
    return Line(z.constant * factor + shift, z.slope * factor)


def side_by_side(parts: Sequence[Exact]) -> Exact:
    """All entries of all operands in one dimension."""
    under = math.lcm(*(part.under for part in parts))
    return Exact(np.concatenate([part.over.reshape(-1) * (under // part.under) for part in parts]), under)


def envelope(lines: Sequence[tuple[int, int] | None], low: Fraction, high: Fraction) -> list[tuple[Fraction, int]]:
    """Which line is the largest from where on: (t, position) from ``low`` on, each t below ``high``.

    Lines are pairs (value at 0, slope); where there is None, nothing takes part. The largest of several lines is
    convex: from one winner to the next the slope grows, and the next one is whichever overtakes the winner first.
    """
    members = [(*line, -position) for position, line in enumerate(lines) if line is not None]

    def at(t: Fraction, member: tuple[int, int, int]) -> int:
        """The value, times the denominator of t."""
        return member[0] * t.denominator + member[1] * t.numerator

    winner = max(members, key=lambda member: (at(low, member), *member[1:]))
    won = [(low, -winner[2])]
    while larger := [member for member in members if at(high, member) > at(high, winner)]:
        overtakes = [(Fraction(winner[0] - member[0], member[1] - winner[1]), member) for member in larger]
        t = min(when for when, _ in overtakes)
        winner = max((member for when, member in overtakes if when == t), key=lambda member: member[1:])
        won.append((t, -winner[2]))
    return won


def winners(seen: Windows, pieces: Sequence[int], entries: Line) -> Line:
    """The result of a step over windows in which these places win, of all entries of its operands."""
    chosen = [members[piece] for members, piece in zip(seen.members, pieces, strict=True)]
    parts = (entries.constant, entries.slope)
    return Line(*(Exact(part.over[chosen].reshape(seen.shape), part.under) for part in parts))
