"""Bending operations that take the largest number of a window: max-pooling, maximum over dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from transect.graph import Node
from transect.rules.base import MIXES_ROWS, Envelope, Refused, only_input, row_dim, stored_dim
from transect.rules.written import argument


def max_pool(node: Node) -> Envelope:
    """``max_pool2d_with_indices``, ``max_pool3d_with_indices``: overlap, padding, dilation, ceil mode."""
    _values_only(node)
    spatial = 3 if "3d" in node.operation else 2
    kernel = _each(node.args[1], spatial)
    stride = _each(argument(node, 2, "stride", ()) or kernel, spatial)
    padding, dilation = (_each(argument(node, place, name, default), spatial)
                         for place, name, default in ((3, "padding", 0), (4, "dilation", 1)))  # fmt: skip
    assert node.value is not None
    sizes, results = only_input(node).shape[-spatial:], node.value.shape[-spatial:]
    axes = [
        [[_inside(start * step - pad + k * spread, size) for k in range(width)] for start in range(out)]
        for out, step, pad, spread, width, size in zip(results, stride, padding, dilation, kernel, sizes, strict=True)
    ]
    return _pooling(node, spatial, axes)


def adaptive_max_pool(node: Node) -> Envelope:
    """``adaptive_max_pool2d``, ``adaptive_max_pool3d``: windows of up to one number more or less."""
    _values_only(node)
    spatial = 3 if "3d" in node.operation else 2
    assert node.value is not None
    axes = []
    for size, out in zip(only_input(node).shape[-spatial:], node.value.shape[-spatial:], strict=True):
        spans = [(index * size // out, -(-(index + 1) * size // out)) for index in range(out)]
        width = max(high - low for low, high in spans)
        axes.append([[low + k if low + k < high else -1 for k in range(width)] for low, high in spans])
    return _pooling(node, spatial, axes)


def _each(given: Any, spatial: int) -> list[int]:
    numbers = [given] if isinstance(given, int) else list(given)
    return numbers * spatial if len(numbers) == 1 else numbers


def _inside(position: int, size: int) -> int:
    return position if 0 <= position < size else -1


def _values_only(node: Node) -> None:
    if node.part != 0:
        raise Refused("it gives the positions of the winners, which jump", "use the values only")


def _pooling(node: Node, spatial: int, axes: list[list[list[int]]]) -> Envelope:
    x = only_input(node)
    unbatched = len(x.shape) == spatial + 1
    if row_dim(x) >= len(x.shape) - spatial or (not unbatched and row_dim(x) != 0):
        raise Refused("it pools over the samples, or reads them as channels", MIXES_ROWS)
    target, geometry = node.target, node.args[1:]

    def pool(x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = target(x.unsqueeze(1) if unbatched else x, *geometry)
        return (pooled[0].squeeze(1), pooled[1].squeeze(1)) if unbatched else (pooled[0], pooled[1])

    def winners(x: Tensor) -> Tensor:
        return pool(x)[1].reshape(len(x), channels, -1)

    channels, positions = (1 if unbatched else x.unit_shape[0]), math.prod(x.shape[-spatial:])
    windows = _windows(axes, x.shape[-spatial:])
    return Envelope(windows, lambda x: x.reshape(len(x), channels, positions), lambda x: pool(x)[0], winners)


def _windows(axes: list[list[list[int]]], sizes: tuple[int, ...]) -> Tensor:
    """Positions of the places of every window from those along each axis, -1 beyond the border."""
    result = torch.zeros((1, 1), dtype=torch.int64)
    for axis, size in zip(axes, sizes, strict=True):
        place = torch.tensor(axis)
        together = result.unsqueeze(1).unsqueeze(3) * size + place.unsqueeze(1)
        missing = (result < 0).unsqueeze(1).unsqueeze(3) | (place < 0).unsqueeze(1)
        result = together.masked_fill(missing, -1).flatten(2).flatten(0, 1)
    return result


def largest(node: Node) -> Envelope:
    """``amax(x, dims=(), keepdim=False)`` and the values of ``max(x, dim, keepdim=False)``."""
    x = only_input(node)
    if node.operation.startswith("aten.max."):
        _values_only(node)
    given = argument(node, 1, "dim", ())
    dims = sorted(stored_dim(x, dim, "it takes the largest along") - 1
                  for dim in ([given] if isinstance(given, int) else given or range(len(x.shape))))  # fmt: skip
    keepdim = bool(argument(node, 2, "keepdim", False))
    return _over(x.unit_shape, dims, keepdim)


def _over(shape: tuple[int, ...], dims: list[int], keepdim: bool) -> Envelope:
    kept = [dim for dim in range(len(shape)) if dim not in dims]
    order = [0, *(dim + 1 for dim in kept), *(dim + 1 for dim in dims)]
    channels, positions = math.prod(shape[dim] for dim in kept), math.prod(shape[dim] for dim in dims)

    def arrange(x: Tensor) -> Tensor:
        return x.permute(order).reshape(len(x), channels, positions)

    return Envelope(
        torch.arange(positions).unsqueeze(0),
        arrange,
        lambda x: x.amax([dim + 1 for dim in dims], keepdim=keepdim),
        _first_of_largest(arrange),
    )


def _first_of_largest(arrange: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: arrange(x).argmax(2, keepdim=True)


_aten = torch.ops.aten
RULES = {
    **{str(op): max_pool for op in (_aten.max_pool2d_with_indices.default, _aten.max_pool3d_with_indices.default)},
    **{str(op): adaptive_max_pool for op in (_aten.adaptive_max_pool2d.default, _aten.adaptive_max_pool3d.default)},
    **{str(op): largest for op in (_aten.amax.default, _aten.max.dim)},
}  # fmt: skip
