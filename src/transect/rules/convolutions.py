"""Convolutions of one, two or three dimensions; every stride, padding, dilation and number of groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, MIXES_ROWS, Affine, Refused, row_dim, squared_rows

_COLUMNS = 2**19  # numbers laid out at a time: 4 MiB, which stays in a second-level or a share of a third-level cache
_FEW = 16  # positions of an image below which images are multiplied together
# PyTorch's float32 convolutions copy images with their channels padded to a multiple of so many: three or four take as
# much as sixteen. Copies larger than 32 MiB get fresh pages from the system every time.
_LANES = 16
_PADDED = 2**21  # numbers of such a copy: 8 MiB

Computed = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]


@dataclass(frozen=True)
class Geometry:
    """How a convolution moves over its input; one number a spatial dimension, as ``aten.convolution`` takes them."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int

    @classmethod
    def of(cls, arguments: list[Any], dimensions: int) -> Geometry:
        """From the arguments of ``aten.convolution`` after weight and bias: one number may stand for all dimensions."""
        stride, padding, dilation, transposed, output_padding, groups = arguments

        def each(numbers: Any) -> tuple[int, ...]:
            return tuple(numbers) if len(numbers) == dimensions else tuple(numbers) * dimensions

        return cls(each(stride), each(padding), each(dilation), transposed, each(output_padding), groups)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution of ``(N, channels, *size)`` in the fastest way known for its shape."""
        if self.transposed or x.device.type != "cpu" or len(x) == 0:
            return self.plain(x, weight, bias)
        out = self._size(x, weight)
        if x.dtype != torch.float64:
            return _in_blocks(self.plain, self._rows_at_once(x, weight, out), x, weight, bias)
        laid_out = any(size > 1 for size in (*weight.shape[2:], *self.stride)) or any(self.padding)
        columns = laid_out * math.prod(out) * weight[0].numel()
        way: Computed
        if self.groups == x.shape[1] == len(weight) > 1:
            way, numbers = self._shifted, math.prod(out) * len(weight)
        elif self.groups == 1 and math.prod(out) <= _FEW:
            way, numbers = self._together, columns
        else:
            way, numbers = self.plain, columns
        return _in_blocks(way, max(1, _COLUMNS // max(1, numbers)), x, weight, bias)

    def _rows_at_once(self, x: Tensor, weight: Tensor, out: tuple[int, ...]) -> int:
        """In float32: all, unless the copies PyTorch makes of them with padded channels are too large to recycle."""
        images = ((x.shape[1], x.shape[2:]), (len(weight), out))
        numbers = len(x) * max(-(-channels // _LANES) * _LANES * math.prod(size) for channels, size in images)
        blocks = -(-numbers // _PADDED) if numbers > 2 * _PADDED else 1
        return -(-len(x) // blocks)

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """As PyTorch computes it."""
        made: Tensor = torch.ops.aten.convolution.default(
            x, weight, bias, self.stride, self.padding, self.dilation, self.transposed, self.output_padding, self.groups
        )
        return made

    def _size(self, x: Tensor, weight: Tensor) -> tuple[int, ...]:
        """Sizes of the result."""
        parts = zip(x.shape[2:], weight.shape[2:], self.stride, self.padding, self.dilation, strict=True)
        return tuple(
            (size + 2 * pad - dilate * (kernel - 1) - 1) // step + 1 for size, kernel, step, pad, dilate in parts
        )

    def _padded(self, x: Tensor) -> Tensor:
        edges = [edge for pad in reversed(self.padding) for edge in (pad, pad)]
        return torch.nn.functional.pad(x, edges) if any(edges) else x

    def _together(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """One product for all images: their windows as rows."""
        out, kernel = self._size(x, weight), weight.shape[2:]
        last = self._padded(x).movedim(1, -1).contiguous()
        images, *places, channel = last.stride()
        steps = [stride * place for stride, place in zip(self.stride, places, strict=True)]
        inner = [dilate * place for dilate, place in zip(self.dilation, places, strict=True)]
        windows = last.as_strided((len(x), *out, *kernel, x.shape[1]), (images, *steps, *inner, channel)).reshape(
            len(x) * math.prod(out), -1
        )
        coefficients = weight.movedim(1, -1).reshape(len(weight), -1).T
        made = windows @ coefficients if bias is None else torch.addmm(bias, windows, coefficients)
        return made.reshape(len(x), *out, -1).movedim(-1, 1).contiguous()

    def _shifted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Depthwise: for every place of the kernel, the image moved there, times its coefficient."""
        out, padded = self._size(x, weight), self._padded(x)
        shape = (-1, *(1,) * len(out))
        total = x.new_zeros((len(x), len(weight), *out))
        if bias is not None:
            total += bias.reshape(shape)
        coefficients = weight.flatten(1)  # of the places of the kernel in the order of the loop
        for number, place in enumerate(itertools.product(*(range(size) for size in weight.shape[2:]))):
            total.addcmul_(padded[self._moved(place, out)], coefficients[:, number].reshape(shape))
        return total

    def _moved(self, place: tuple[int, ...], out: tuple[int, ...]) -> tuple[slice, ...]:
        """The part of a padded image that a place of the kernel meets."""
        parts = zip(place, out, self.stride, self.dilation, strict=True)
        inner = [slice(at * dilate, at * dilate + step * (size - 1) + 1, step) for at, size, step, dilate in parts]
        return (slice(None), slice(None), *inner)


def _in_blocks(way: Computed, rows: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if rows >= len(x):
        return way(x, weight, bias)
    made: Tensor | None = None
    for first in range(0, len(x), rows):
        part = way(x[first : first + rows], weight, bias)
        made = x.new_empty((len(x), *part.shape[1:])) if made is None else made
        made[first : first + rows] = part
    assert made is not None
    return made


def convolution(node: Node) -> Affine:
    """``convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups)``."""
    x, weight, bias, *geometry = node.args
    if not isinstance(x, Value) or isinstance(weight, Value) or isinstance(bias, Value):
        raise Refused("its weight or bias depends on the input: a product of activations", ESTIMATE)
    if row_dim(x) != 0:
        raise Refused("it reads the samples as channels or positions", MIXES_ROWS)
    transposed = geometry[3]  # then rows of the weight are no outputs, and one number serves them all
    squared, size = squared_rows(weight.reshape(1, *weight.shape) if transposed else weight)
    squared, size = squared.reshape(weight.shape), size.reshape(-1, *(1,) * (weight.dim() - 2))

    convolve = Geometry.of(geometry, weight.dim() - 2).convolve
    return Affine(
        value=lambda x: convolve(x, weight, bias),
        linear=lambda x: convolve(x, weight, None),
        squares=lambda x: convolve(x, squared, None) * size * size,
    )


RULES = {str(torch.ops.aten.convolution.default): convolution}
