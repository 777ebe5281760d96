"""Every affine step, executed in rational arithmetic on an interval where its operands are affine in t.

Every float is an exact rational number. The one irrational number, the square root in batch norm, is taken to 200
binary digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache, singledispatch
from itertools import product

import numpy as np

from oracle.exact import Exact, Line
from oracle.steps import (
    AveragePool,
    BatchNorm,
    Concatenation,
    Convolution,
    Flatten,
    Linear,
    Pad,
    Reshape,
    Reversal,
    Slice,
    Step,
    Sum,
    TransposedConvolution,
    Upsample,
)

_ROOT_BITS = 200


@singledispatch
def apply(step: Step, *values: Line) -> Line:
    """The result of an affine step on an interval."""
    raise NotImplementedError(type(step).__name__)


@apply.register
def _(step: Linear, x: Line) -> Line:
    return _weighed(step, x, lambda weight, v: weight @ v)


@apply.register
def _(step: Convolution, x: Line) -> Line:
    return _weighed(step, x, lambda weight, v: _correlate(v, weight, step))


@apply.register
def _(step: AveragePool, x: Line) -> Line:
    dimensions = x.constant.over.ndim - 1
    window = [range(step.kernel)] * dimensions

    def mean(v: Exact) -> Exact:
        padded = _padded(v.over, step.padding)
        total = sum(_shift(padded, offset, step.kernel, step.stride, 1) for offset in product(*window))
        return Exact(total, v.under * step.kernel**dimensions)

    return Line(mean(x.constant), mean(x.slope))


@apply.register
def _(step: BatchNorm, x: Line) -> Line:
    scale = _scale(step).for_channels_of(x)
    mean, bias = (_parameter(step, name).for_channels_of(x) for name in ("mean", "bias"))
    return Line((x.constant + -mean) * scale + bias, x.slope * scale)


@apply.register
def _(step: Sum, x: Line, y: Line) -> Line:
    return Line(x.constant + y.constant, x.slope + y.slope)


@apply.register
def _(step: Concatenation, x: Line, y: Line) -> Line:
    return Line(_joined(x.constant, y.constant), _joined(x.slope, y.slope))


@apply.register
def _(step: Flatten, x: Line) -> Line:
    return x.flat()


@apply.register
def _(step: Reshape, x: Line) -> Line:
    return _rearranged(x, lambda entries: entries.reshape(step.shape))


@apply.register
def _(step: Slice, x: Line) -> Line:
    chosen = (*(slice(None),) * step.dimension, slice(step.start, step.stop, step.step))
    return _rearranged(x, lambda entries: entries[chosen])


@apply.register
def _(step: Reversal, x: Line) -> Line:
    return _rearranged(x, lambda entries: np.flip(entries, step.dimension))


@apply.register
def _(step: Upsample, x: Line) -> Line:
    def twice(entries: np.ndarray) -> np.ndarray:
        for dimension in range(1, entries.ndim):
            entries = entries.repeat(2, dimension)
        return entries

    return _rearranged(x, twice)


@apply.register
def _(step: Pad, x: Line) -> Line:
    """Every entry of the result is one of the value, or, one place after the last of them, the constant."""
    shape = x.constant.over.shape
    widths = [(0, 0)] * (len(shape) - len(step.amounts)) + list(step.amounts)
    places, outside = np.arange(math.prod(shape)).reshape(shape), math.prod(shape)
    if step.mode == "constant":
        chosen = np.pad(places, widths, constant_values=outside)
    else:
        chosen = np.pad(places, widths, {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[step.mode])
    flat = x.flat()
    constant = _joined(flat.constant, Exact.of_fractions([Fraction(step.value)]))
    slope = _joined(flat.slope, Exact.of_fractions([Fraction(0)]))
    return Line(Exact(constant.over[chosen], constant.under), Exact(slope.over[chosen], slope.under))


@apply.register
def _(step: TransposedConvolution, x: Line) -> Line:
    return _weighed(step, x, lambda weight, v: _scattered(v, weight, step))


def _weighed(step: Step, x: Line, multiply: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Line:
    """A product with the step's weight, and its bias."""
    weight = _parameter(step, "weight")
    parts = (Exact(multiply(weight.over, v.over), weight.under * v.under) for v in (x.constant, x.slope))
    return _shifted(step, Line(*parts))


@cache
def _parameter(step: Step, name: str) -> Exact:
    return Exact.of(getattr(step, name))


@cache
def _scale(step: BatchNorm) -> Exact:
    """``weight / sqrt(variance + epsilon)``: the inverse root is cut off, not the product, so that ties stay exact."""
    inverses = [_inverse_root(Fraction(float(variance)) + Fraction(step.epsilon)) for variance in step.variance]
    weights = [Fraction(float(weight)) for weight in step.weight]
    return Exact.of_fractions([weight * inverse for weight, inverse in zip(weights, inverses, strict=True)])


def _inverse_root(square: Fraction) -> Fraction:
    return Fraction(math.isqrt(int(4**_ROOT_BITS / square)), 2**_ROOT_BITS)


def _rearranged(x: Line, change: Callable[[np.ndarray], np.ndarray]) -> Line:
    return Line(*(Exact(change(part.over), part.under) for part in (x.constant, x.slope)))


def _shifted(step: Linear | Convolution | TransposedConvolution, x: Line) -> Line:
    return x if step.bias is None else Line(x.constant + _parameter(step, "bias").for_channels_of(x), x.slope)


def _correlate(x: np.ndarray, weight: np.ndarray, step: Convolution) -> np.ndarray:
    """One output channel after the other, one place of the kernel after the other."""
    out, into, *kernel = weight.shape
    padded, channels = _padded(x, step.padding), []
    for o in range(out):
        first = (o // (out // step.groups)) * into
        group = padded[first : first + into]
        total = 0
        for offset in product(*(range(size) for size in kernel)):
            seen = _shift(group, offset, kernel, step.stride, step.dilation)
            total = total + (seen * weight[(o, slice(None), *offset)].reshape(-1, *(1,) * len(kernel))).sum(0)
        channels.append(total)
    return np.stack(channels)


def _scattered(x: np.ndarray, weight: np.ndarray, step: TransposedConvolution) -> np.ndarray:
    """Every entry puts a copy of the kernel, times itself, where it lies; ``padding`` is cut off on all sides."""
    into, out, *kernel = weight.shape
    sizes = [(size - 1) * step.stride + width + step.output_padding for size, width in zip(x.shape[1:], kernel)]
    whole = np.full((out, *sizes), 0, dtype=object)
    for channel, *place in product(range(into), *map(range, x.shape[1:])):
        corner = [slice(at * step.stride, at * step.stride + width) for at, width in zip(place, kernel)]
        whole[(slice(None), *corner)] += x[(channel, *place)] * weight[channel]
    return whole[(slice(None), *(slice(step.padding, size - step.padding) for size in sizes))]


def _padded(x: np.ndarray, padding: int) -> np.ndarray:
    channels, *sizes = x.shape
    result = np.full((channels, *(size + 2 * padding for size in sizes)), 0, dtype=object)
    result[(slice(None), *(slice(padding, padding + size) for size in sizes))] = x
    return result


def _shift(
    x: np.ndarray, offset: tuple[int, ...], kernel: int | Sequence[int], stride: int, dilation: int
) -> np.ndarray:
    """What one place of the kernel sees from every position."""
    sizes = [kernel] * len(offset) if isinstance(kernel, int) else kernel
    windows = []
    for place, size, length in zip(offset, sizes, x.shape[1:], strict=True):
        positions = (length - dilation * (size - 1) - 1) // stride + 1
        first = place * dilation
        windows.append(slice(first, first + stride * (positions - 1) + 1, stride))
    return x[(slice(None), *windows)]


def _joined(x: Exact, y: Exact) -> Exact:
    under = math.lcm(x.under, y.under)
    return Exact(np.concatenate([x.over * (under // x.under), y.over * (under // y.under)]), under)
