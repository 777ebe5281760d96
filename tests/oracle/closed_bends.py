"""Bending steps whose restriction to a segment is worked out by hand, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oracle.closed_forms import affine
from oracle.rational import Flip
from oracle.steps import (
    Absolute,
    Case,
    Clamp,
    Concatenation,
    Flatten,
    HardSigmoid,
    LeakyRelu,
    Maximum,
    MaxOver,
    MaxPool,
    Minimum,
    MinOver,
    Prelu,
    Relu,
    Reshape,
    SoftShrink,
    Step,
)

_F = Fraction


@dataclass(frozen=True, eq=False)
class KnownBend:
    """A case and what is true of it.

    Attributes:
        case: Network and segment.
        pattern: Pieces on the first interval, one tuple a bending step.
        flips: Interior knots with their (operation, unit, before, after).
        outputs: Outputs at 0, the interior knots, and 1.
    """

    case: Case
    pattern: tuple[tuple[int, ...], ...]
    flips: Sequence[tuple[Fraction, set[Flip]]]
    outputs: Sequence[Sequence[Fraction | int]]


def leaky() -> KnownBend:
    """A slope of 1/4 below zero, for x and -x on [-4, 4]."""
    steps = [affine(0, [[1], [-1]]), LeakyRelu((1,), 0.25)]
    flips = [(_F(1, 2), {(0, 0, 0, 1), (0, 1, 1, 0)})]
    return _on_a_line("leaky ReLU", steps, -4, 4, ((0, 1),), flips, [[-1, 4], [0, 0], [4, -1]])


def slopes_of_channels() -> KnownBend:
    """x with slope -1/2 below zero, which makes it grow again, and 1 - x with slope 2, on [-2, 2]."""
    steps = [affine(0, [[1], [-1]], [0, 1]), Prelu((1,), np.array([-0.5, 2.0]))]
    flips = [(_F(1, 2), {(0, 0, 0, 1)}), (_F(3, 4), {(0, 1, 1, 0)})]
    return _on_a_line("PReLU", steps, -2, 2, ((0, 1),), flips, [[1, 3], [0, 1], [1, 0], [2, -2]])


def both_bounds() -> KnownBend:
    """12 x and -12 x between 0 and 6 on [-1, 1]: each crosses both bounds, and they cross 0 together."""
    steps = [affine(0, [[12], [-12]]), Clamp((1,), 0.0, 6.0)]
    flips = [(_F(1, 4), {(0, 1, 2, 1)}), (_F(1, 2), {(0, 0, 0, 1), (0, 1, 1, 0)}), (_F(3, 4), {(0, 0, 1, 2)})]
    outputs = [[0, 6], [0, 6], [0, 0], [6, 0], [6, 0]]
    return _on_a_line("clamp, both bounds", steps, -1, 1, ((0, 2),), flips, outputs)


def upper_bound() -> KnownBend:
    """x, and 1/2 all along, which is not above 1/2, at most 1/2 on [0, 1]."""
    steps = [affine(0, [[1], [0]], [0, 0.5]), Clamp((1,), None, 0.5)]
    half = _F(1, 2)
    outputs = [[0, half], [half, half], [half, half]]
    return _on_a_line("clamp, upper bound", steps, 0, 1, ((0, 0),), [(half, {(0, 0, 0, 1)})], outputs)


def lower_bound() -> KnownBend:
    """x at least 1/4 on [1, 0]."""
    steps = [affine(0, [[1]]), Clamp((1,), 0.25, None)]
    outputs = [[1], [_F(1, 4)], [_F(1, 4)]]
    return _on_a_line("clamp, lower bound", steps, 1, 0, ((1,),), [(_F(3, 4), {(0, 0, 1, 0)})], outputs)


def hard_sigmoid() -> KnownBend:
    """From 0 to 1 between -3 and 3, on [-6, 6]."""
    flips = [(_F(1, 4), {(0, 0, 0, 1)}), (_F(3, 4), {(0, 0, 1, 2)})]
    steps = [affine(0, [[1]]), HardSigmoid((1,))]
    return _on_a_line("hard sigmoid", steps, -6, 6, ((0,),), flips, [[0], [0], [1], [1]])


def soft_shrink() -> KnownBend:
    """Zero between -1/2 and 1/2, on [-2, 2]."""
    flips = [(_F(3, 8), {(0, 0, 0, 1)}), (_F(5, 8), {(0, 0, 1, 2)})]
    steps = [affine(0, [[1]]), SoftShrink((1,), 0.5)]
    return _on_a_line("soft shrink", steps, -2, 2, ((0,),), flips, [[_F(-3, 2)], [0], [0], [_F(3, 2)]])


def absolute() -> KnownBend:
    """|x| on [-1, 3], in one operation."""
    steps = [affine(0, [[1]]), Absolute((1,))]
    return _on_a_line("absolute", steps, -1, 3, ((0,),), [(_F(1, 4), {(0, 0, 0, 1)})], [[1], [0], [3]])


def touching() -> KnownBend:
    """y = relu(x) + relu(-x) on [-1, 3], then |y|, and the larger of 0 and y: both touch at 1/4 and turn back."""
    y = affine(0, [[1], [-1]]), Relu((1,)), affine(2, [[1, 1]])
    steps = (*y, Absolute((3,)), affine(2, [[0, 0]]), Maximum((5, 4)), affine(6, [[1]]))
    flips = [(_F(1, 4), {(0, 0, 0, 1), (0, 1, 1, 0)})]
    return KnownBend(
        Case("touching", steps, np.array([-1.0]), np.array([3.0])), ((0, 1), (1,), (1,)), flips, [[1], [0], [3]]
    )


def three_winners() -> KnownBend:
    """1 - 4t, 1/2 and 8t - 3 in one window: all three win, one after the other, within one interval."""
    case = Case("three winners", (_pool(0, 3), *_head(1, 1)), np.array([[1, 0.5, -3]]), np.array([[-3, 0.5, 5]]))
    flips = [(_F(1, 8), {(0, 0, 0, 1)}), (_F(7, 16), {(0, 0, 1, 2)})]
    return KnownBend(case, ((0,),), flips, [[1], [_F(1, 2)], [_F(1, 2)], [5]])


def window_of_zeros() -> KnownBend:
    """Windows of two ReLUs, which tie while both are off: the first counts.

    The ReLUs switch on at 1/2 and 2/3. In the first window the first one does so first, and goes on winning; in the
    second window the second one does, and takes over.
    """
    start = np.full((2, 2), -2.0)
    case = Case("window of zeros", (Relu((0,)), _pool(1, 2), *_head(2, 2)), start, np.array([[2.0, 1.0], [1.0, 2.0]]))
    flips = [(_F(1, 2), {(0, 0, 0, 1), (0, 3, 0, 1), (1, 1, 0, 1)}), (_F(2, 3), {(0, 1, 0, 1), (0, 2, 0, 1)})]
    return KnownBend(case, ((0, 0, 0, 0), (0, 0)), flips, [[0, 0], [0, 0], [_F(2, 3), _F(2, 3)], [2, 2]])


def zeros_again() -> KnownBend:
    """Windows of two ReLUs that switch off: the last one to do so wins until then, the first one once both are off."""
    start = np.array([[2.0, 1.0], [1.0, 2.0]])
    case = Case("zeros again", (Relu((0,)), _pool(1, 2), *_head(2, 2)), start, np.full((2, 2), -2.0))
    flips = [(_F(1, 3), {(0, 1, 1, 0), (0, 2, 1, 0)}), (_F(1, 2), {(0, 0, 1, 0), (0, 3, 1, 0), (1, 1, 1, 0)})]
    return KnownBend(case, ((1, 1, 1, 1), (0, 1)), flips, [[2, 2], [_F(2, 3), _F(2, 3)], [0, 0], [0, 0]])


def padding() -> KnownBend:
    """Two negative entries with a place of padding on either side, the first of the window: it does not win."""
    step = MaxPool((0,), (3,), (2,), (1,), (1,))
    case = Case("padding", (step, *_head(1, 1)), np.array([[-1.0, -3.0]]), np.array([[-3.0, -1.0]]))
    return KnownBend(case, ((1,),), [(_F(1, 2), {(0, 0, 1, 2)})], [[-1], [-2], [-1]])


def beyond_the_border() -> KnownBend:
    """Rounded up, the windows of 3 entries by 2 are {0, 1} and {2}, of which nothing but its first can win."""
    step = MaxPool((0,), (2,), (2,), (0,), (1,), ceil_mode=True)
    case = Case("beyond the border", (step, *_head(1, 2)), np.array([[-1.0, -2.0, -1]]), np.array([[-2.0, -1, -3]]))
    return KnownBend(case, ((0, 0),), [(_F(1, 2), {(0, 0, 0, 1)})], [[-1, -1], [_F(-3, 2), -2], [-1, -3]])


def plane() -> KnownBend:
    """Windows of 2 by 2 cells in two columns of three rows: positions are counted row after row.

    The entries of the rows are (4t, 1), (0, 2), (3 - 4t, 0): the first window goes from position 3 to position 0 at
    1/2, the second from its position 2 to its position 1 at 1/4.
    """
    step = MaxPool((0,), (2, 2), (1, 1), (0, 0), (1, 1))
    start, end = [[[0.0, 1], [0, 2], [3, 0]]], [[[4.0, 1], [0, 2], [-1, 0]]]
    case = Case("plane", (step, *_head(1, 2)), np.array(start), np.array(end))
    flips = [(_F(1, 4), {(0, 1, 2, 1)}), (_F(1, 2), {(0, 0, 3, 0)})]
    return KnownBend(case, ((3, 2),), flips, [[2, 3], [2, 2], [2, 2], [4, 2]])


def all_at_once() -> KnownBend:
    """0, 2t - 1, 6t - 3 and -9 over both dimensions of a plane: three meet at 1/2, and the steepest goes on."""
    start, end = np.array([[[0.0, -1], [-3, -9]]]), np.array([[[0.0, 1], [3, -9]]])
    case = Case("all at once", (MaxOver((0,), (1, 2)), affine(1, [[1]])), start, end)
    return KnownBend(case, ((0,),), [(_F(1, 2), {(0, 0, 0, 2)})], [[0], [0], [3]])


def over_the_first() -> KnownBend:
    """The larger of two rows: of 1 and 4t, and of 2 and 2."""
    case = Case("over the first", (MaxOver((0,), (0,)), affine(1, np.eye(2))), np.array([[1.0, 2], [0, 2]]),
                np.array([[1.0, 2], [4, 2]]))  # fmt: skip
    return KnownBend(case, ((0, 0),), [(_F(1, 4), {(0, 0, 0, 1)})], [[1, 2], [1, 2], [4, 2]])


def smallest_of_three() -> KnownBend:
    """4t, 1 and 3 - 4t: each is the smallest, one after the other."""
    steps = (MinOver((0,), (0,)), Reshape((1,), (1,)), affine(2, [[1]]))
    case = Case("smallest of three", steps, np.array([0.0, 1, 3]), np.array([4.0, 1, -1]))
    flips = [(_F(1, 4), {(0, 0, 0, 1)}), (_F(1, 2), {(0, 0, 1, 2)})]
    return KnownBend(case, ((0,),), flips, [[0], [1], [1], [-1]])


def larger_and_smaller() -> KnownBend:
    """x and 1 - x on [0, 2], the larger and then the smaller; and x with itself, where the first one counts."""
    first, second = affine(0, [[1], [1]]), affine(0, [[-1], [1]], [1, 0])
    steps = (first, second, Maximum((1, 2)), Minimum((1, 2)), affine(3, np.eye(2)), affine(4, [[1, 0], [0, 0]]))
    case = Case("larger and smaller", (*steps, Concatenation((5, 6))), np.array([0.0]), np.array([2.0]))
    flips = [(_F(1, 4), {(0, 0, 1, 0), (1, 0, 0, 1)})]
    return KnownBend(case, ((1, 0), (0, 0)), flips, [[1, 0, 0, 0], [_F(1, 2), _F(1, 2), _F(1, 2), 0], [2, 2, -1, 0]])


def _pool(source: int, kernel: int) -> MaxPool:
    return MaxPool((source,), (kernel,), (kernel,), (0,), (1,))


def _head(source: int, width: int) -> tuple[Step, Step]:
    """All entries of a value as outputs."""
    return Flatten((source,)), affine(source + 1, np.eye(width))


def _on_a_line(
    name: str,
    steps: Sequence[Step],
    start: float,
    end: float,
    pattern: tuple[tuple[int, ...], ...],
    flips: Sequence[tuple[Fraction, set[Flip]]],
    outputs: Sequence[Sequence[Fraction | int]],
) -> KnownBend:
    """Every entry of the last step as an output, from one number to another."""
    head = affine(len(steps), np.eye(len(outputs[0])))
    return KnownBend(
        Case(name, (*steps, head), np.array([float(start)]), np.array([float(end)])), pattern, flips, outputs
    )


KNOWN_BENDS = [
    leaky(), slopes_of_channels(), both_bounds(), upper_bound(), lower_bound(), hard_sigmoid(), soft_shrink(),
    absolute(), touching(), three_winners(), window_of_zeros(), zeros_again(), padding(), beyond_the_border(), plane(),
    all_at_once(), over_the_first(), smallest_of_three(), larger_and_smaller(),
]  # fmt: skip
