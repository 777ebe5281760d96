"""Networks whose restriction to a segment is known without any computing, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oracle.steps import Case, Linear, Relu

_F = Fraction


@dataclass(frozen=True, eq=False)
class Known:
    """A case and what is true of it.

    Attributes:
        case: Network and segment.
        flips: Interior knots with their (operation, unit, before, after).
        deviation: Mean of ``|f - a|`` over t, for each output.
        variation: Total variation of each output.
    """

    case: Case
    flips: Sequence[tuple[Fraction, set[tuple[int, int, int, int]]]]
    deviation: Sequence[Fraction]
    variation: Sequence[Fraction]


def affine(source: int, weight: Sequence[Sequence[float]], bias: Sequence[float] | None = None) -> Linear:
    return Linear((source,), np.array(weight, dtype=float), None if bias is None else np.array(bias, dtype=float))


def chain(*layers: Linear, relu_last: bool = False) -> tuple[Linear | Relu, ...]:
    """Linear layers with a ReLU between neighbours; their sources are numbered here."""
    steps: list[Linear | Relu] = []
    for layer in layers:
        steps += [Linear((len(steps),), layer.weight, layer.bias), Relu((len(steps) + 1,))]
    return tuple(steps if relu_last else steps[:-1])


def absolute_value() -> Known:
    """|x| on [-1, 3] as relu(x) + relu(-x): one knot, two flips."""
    steps = chain(affine(0, [[1], [-1]]), affine(0, [[1, 1]]))
    flips = [(_F(1, 4), {(0, 0, 0, 1), (0, 1, 1, 0)})]
    return Known(_case("absolute value", steps, [-1], [3]), flips, [_F(3, 4)], [_F(4)])


def touching() -> Known:
    """relu(|x|) and relu(-|x|): the second operation's units reach zero at the knot and turn back."""
    steps = chain(affine(0, [[1], [-1]]), affine(0, [[1, 1], [-1, -1]]), affine(0, [[1, 1]]))
    flips = [(_F(1, 4), {(0, 0, 0, 1), (0, 1, 1, 0)})]
    return Known(_case("touching", steps, [-1], [3]), flips, [_F(3, 4)], [_F(4)])


def zero_over_an_interval() -> Known:
    """relu(relu(x)): the second unit is zero, that is inactive, wherever the first one is off."""
    steps = chain(affine(0, [[1]]), affine(0, [[1]]), affine(0, [[1]]))
    flips = [(_F(1, 3), {(0, 0, 0, 1), (1, 0, 0, 1)})]
    return Known(_case("zero over an interval", steps, [-1], [2]), flips, [_F(1, 3)], [_F(2)])


def dead() -> Known:
    """Units without weights (bias -1, 0, 1) never flip, and the function is affine."""
    steps = chain(affine(0, [[0], [0], [0]], [-1, 0, 1]), affine(0, [[1, 1, 1]]))
    return Known(_case("dead units", steps, [-1], [2]), [], [_F(0)], [_F(0)])


def duplicated() -> Known:
    """One unit three times and once mirrored: one crossing, four flips."""
    steps = chain(affine(0, [[2], [2], [2], [-2]], [-1, -1, -1, 1]), affine(0, [[1, 1, -1, 0]]))
    flips = [(_F(1, 2), {(0, 0, 0, 1), (0, 1, 0, 1), (0, 2, 0, 1), (0, 3, 1, 0)})]
    return Known(_case("duplicated units", steps, [0], [1]), flips, [_F(1, 4)], [_F(1)])


def two_outputs() -> Known:
    """relu(x - 1) and relu(2 - x) read out one by one on [0, 4]: knots at 1/4 and 1/2."""
    steps = chain(affine(0, [[1], [-1]], [-1, 2]), affine(0, [[1, 0], [0, 1]]))
    flips = [(_F(1, 4), {(0, 0, 0, 1)}), (_F(1, 2), {(0, 1, 1, 0)})]
    return Known(_case("two outputs", steps, [0], [4]), flips, [_F(3, 8), _F(1, 2)], [_F(3), _F(2)])


def sawtooth(depth: int) -> Known:
    """The tent map 2 relu(x) - 4 relu(x - 1/2) composed ``depth`` times on [0, 1] (Telgarsky 2016): 2^depth pieces.

    Its k-th operation's first unit is the tooth itself, which touches zero and turns back at every even multiple of
    2^-(k - 1): it flips nowhere. Its second unit flips at every odd multiple of 2^-k.
    """
    tents = [affine(0, [[1], [1]], [0, -0.5])] + [affine(0, [[2, -4], [2, -4]], [0, -0.5])] * (depth - 1)
    steps = chain(*tents, affine(0, [[2, -4]]))
    flips = []
    for knot in range(1, 2**depth):
        operation = depth - 1 - _twos(knot)
        rising = (knot >> _twos(knot)) % 4 == 1
        flips.append((_F(knot, 2**depth), {(operation, 1, 1 - rising, int(rising))}))
    case = _case(f"sawtooth of depth {depth}", steps, [0], [1])
    return Known(case, flips, [_F(1, 2)], [_F(2**depth)])


def _twos(number: int) -> int:
    """How often 2 divides it."""
    return (number & -number).bit_length() - 1


def _case(name: str, steps: Sequence[Linear | Relu], start: Sequence[float], end: Sequence[float]) -> Case:
    return Case(name, tuple(steps), np.array(start, dtype=float), np.array(end, dtype=float))


KNOWN = [absolute_value(), touching(), zero_over_an_interval(), dead(), duplicated(), two_outputs()] + [
    sawtooth(depth) for depth in (1, 2, 3, 6)
]
