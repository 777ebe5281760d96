"""What each unit of a step over windows chooses from, as places among the entries of its operands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, singledispatch
from itertools import product

import numpy as np

from oracle.steps import Maximum, MaxOver, MaxPool, Minimum, MinOver, OverWindows


@dataclass(frozen=True)
class Windows:
    """The windows of a step.

    Attributes:
        members: For each flat entry of the result the places that it chooses from, in the order of the pieces: flat
            indices, counted on from one operand to the next. None is a position in the window that never wins.
        shape: Shape of the result.
    """

    members: tuple[tuple[int | None, ...], ...]
    shape: tuple[int, ...]


@cache
def windows(step: OverWindows, *shapes: tuple[int, ...]) -> Windows:
    """The windows of a step on operands of these shapes."""
    return _windows(step, *shapes)


@singledispatch
def _windows(step: OverWindows, *shapes: tuple[int, ...]) -> Windows:
    raise NotImplementedError(type(step).__name__)


@_windows.register(Maximum | Minimum)
def _(step: Maximum | Minimum, shape: tuple[int, ...], other: tuple[int, ...]) -> Windows:
    assert shape == other
    size = math.prod(shape)
    return Windows(tuple((unit, size + unit) for unit in range(size)), shape)


@_windows.register(MaxOver | MinOver)
def _(step: MaxOver | MinOver, shape: tuple[int, ...]) -> Windows:
    kept = [dimension for dimension in range(len(shape)) if dimension not in step.dimensions]
    size = math.prod(shape[dimension] for dimension in step.dimensions)
    places = np.arange(math.prod(shape)).reshape(shape).transpose(*kept, *sorted(step.dimensions)).reshape(-1, size)
    return Windows(tuple(map(tuple, places.tolist())), tuple(shape[dimension] for dimension in kept))


@_windows.register
def _(step: MaxPool, shape: tuple[int, ...]) -> Windows:
    channels, *sizes = shape
    seen = pooled(step, sizes)
    members = []
    for channel, *corner in product(range(channels), *map(range, seen)):
        cells = product(*map(range, step.kernel))
        members.append(tuple(_place(step, shape, channel, corner, cell) for cell in cells))
    return Windows(tuple(members), (channels, *seen))


def pooled(step: MaxPool, sizes: Sequence[int]) -> list[int]:
    """How many windows there are in each dimension."""
    result = []
    for size, kernel, stride, padding, dilation in zip(
        sizes, step.kernel, step.stride, step.padding, step.dilation, strict=True
    ):
        room = size + 2 * padding - dilation * (kernel - 1) - 1
        count = (-(-room // stride) if step.ceil_mode else room // stride) + 1
        beyond = (count - 1) * stride >= size + padding  # the last window would begin in the padding after the value
        result.append(count - 1 if step.ceil_mode and beyond else count)
    return result


def _place(
    step: MaxPool, shape: tuple[int, ...], channel: int, corner: Sequence[int], cell: Sequence[int]
) -> int | None:
    """Flat index of what one cell of the kernel sees from one window; None outside the value."""
    place = channel
    for at, inside, stride, padding, dilation, size in zip(
        corner, cell, step.stride, step.padding, step.dilation, shape[1:], strict=True
    ):
        position = at * stride - padding + inside * dilation
        if not 0 <= position < size:
            return None
        place = place * size + position
    return place
