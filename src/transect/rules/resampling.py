"""Average pooling, upsampling and padding."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import MIXES_ROWS, Affine, Refused, only_input, row_dim, stored_dim
from transect.rules.written import argument, as_written, keep_samples_apart, selecting


def reduction(node: Node) -> Affine:
    """``mean(x, dims, keepdim=False)`` and ``sum(x, dims, keepdim=False)``."""
    x = only_input(node)
    given = node.args[1] if len(node.args) > 1 else None
    dims = [stored_dim(x, dim, "it reduces") for dim in (given or range(len(x.shape)))]
    keepdim = bool(node.args[2]) if len(node.args) > 2 else bool(node.kwargs.get("keepdim", False))
    reduce = torch.mean if node.operation.startswith("aten.mean") else torch.sum
    return Affine.selecting(lambda x: reduce(x, dims, keepdim=keepdim))


def running_sum(node: Node) -> Affine:
    """``cumsum(x, dim)``."""
    keep_samples_apart(node, node.args[1])
    return Affine.selecting(as_written(node))


def pooling(node: Node) -> Affine:
    """``avg_pool1d``, ``avg_pool2d``, ``avg_pool3d`` and their adaptive forms."""
    x = only_input(node)
    spatial = 3 if "3d" in node.operation else 2 if "2d" in node.operation else 1
    if row_dim(x) >= len(x.shape) - spatial or (len(x.shape) == spatial + 2 and row_dim(x) != 0):
        raise Refused("it pools over the samples, or reads them as channels", MIXES_ROWS)
    geometry, target, unbatched = node.args[1:], node.target, len(x.shape) == spatial + 1

    def pool(x: Tensor) -> Tensor:
        pooled: Tensor = target(x.unsqueeze(1) if unbatched else x, *geometry)
        return pooled.squeeze(1) if unbatched else pooled

    return Affine.selecting(pool)


_aten = torch.ops.aten
AVERAGES = {
    **{str(op): reduction for op in (_aten.mean.dim, _aten.mean.default, _aten.sum.dim_IntList, _aten.sum.default)},
    str(_aten.cumsum.default): running_sum,
    **{str(op): pooling for op in (_aten.avg_pool1d.default, _aten.avg_pool2d.default, _aten.avg_pool3d.default,
                                   _aten._adaptive_avg_pool2d.default, _aten._adaptive_avg_pool3d.default,
                                   _aten.adaptive_avg_pool1d.default, _aten.adaptive_avg_pool2d.default,
                                   _aten.adaptive_avg_pool3d.default)},
}  # fmt: skip


_MOST_WEIGHTS = 2**26  # of bicubic sampling, each of which is looked at


def upsample(node: Node) -> Affine:
    """Weights are not negative and add up to 1, so the variance of a result is at most the mean of the variances."""
    _spatial(node)
    return Affine.selecting(as_written(node))


def bicubic(node: Node) -> Affine:
    """Weights can be negative: their squares come from what the operation makes of single rows and columns of ones."""
    _spatial(node)
    resize = as_written(node)
    height, width = only_input(node).shape[-2:]
    rows, columns = torch.eye(height), torch.eye(width)

    def squares(x: Tensor) -> Tensor:
        down = resize(_images(rows.unsqueeze(2).expand(-1, -1, width), x))[..., 0].square().to(x.dtype)
        right = resize(_images(columns.unsqueeze(1).expand(-1, height, -1), x))[..., 0, :].square().to(x.dtype)
        return torch.einsum("rchw,hi,wj->rcij", x, down[:, 0], right[:, 0])

    return Affine(resize, resize, squares)


def grid_sample(node: Node) -> Affine:
    """``grid_sampler_2d`` and ``_3d`` on a constant grid: bilinear, nearest or bicubic, with any padding."""
    grid, mode = node.args[1:3]
    if isinstance(grid, Value):
        raise Refused("it samples at places computed from the input", "use a constant grid")
    _spatial(node)
    if grid.shape[0] != 1:
        raise Refused("its grid differs from sample to sample", MIXES_ROWS)
    return Affine.selecting(as_written(node)) if mode != 2 else _bicubic_on_grid(node)


def _bicubic_on_grid(node: Node) -> Affine:
    sample, (height, width), made = as_written(node), only_input(node).shape[-2:], node.value
    assert made is not None
    pixels, places = height * width, made.shape[-2] * made.shape[-1]
    if pixels * places > _MOST_WEIGHTS:
        raise Refused(f"it has {pixels * places:,} weights, some of them negative", "use bilinear or nearest sampling")

    def squares(x: Tensor) -> Tensor:
        weights = sample(torch.eye(pixels, dtype=x.dtype, device=x.device).view(pixels, 1, height, width)).flatten(1)
        return (x.flatten(2) @ weights.square()).view(*x.shape[:2], *made.shape[-2:])

    return Affine(sample, sample, squares)


def _images(planes: Tensor, like: Tensor) -> Tensor:
    """Planes as images of as many channels as the operation is given."""
    return planes.unsqueeze(1).expand(-1, like.shape[1], -1, -1).to(like)


def _spatial(node: Node) -> None:
    if row_dim(only_input(node)) != 0:
        raise Refused("it reads the samples as channels or positions", MIXES_ROWS)


UPSAMPLING = {
    **{str(op.default): grid_sample for op in (_aten.grid_sampler_2d, _aten.grid_sampler_3d)},
    **{str(op.vec): upsample for op in (_aten.upsample_nearest1d, _aten.upsample_nearest2d, _aten.upsample_nearest3d,
                                        _aten.upsample_linear1d, _aten.upsample_bilinear2d,
                                        _aten.upsample_trilinear3d)},
    **{str(op.default): upsample for op in (_aten.upsample_nearest1d, _aten.upsample_nearest2d,
                                            _aten.upsample_nearest3d, _aten.upsample_linear1d,
                                            _aten.upsample_bilinear2d, _aten.upsample_trilinear3d,
                                            _aten._upsample_bilinear2d_aa)},
    **{str(op): bicubic for op in (_aten.upsample_bicubic2d.vec, _aten.upsample_bicubic2d.default,
                                   _aten._upsample_bicubic2d_aa.default)},
}  # fmt: skip


def pad(node: Node) -> Affine:
    """``pad(x, pad, mode="constant", value=None)``: of the last dimensions, two numbers each."""
    only_input(node)
    widths = node.args[1]
    keep_samples_apart(node, *(-1 - dim for dim in range(len(widths) // 2) if any(widths[2 * dim : 2 * dim + 2])))
    if argument(node, 2, "mode", "constant") != "constant":
        return selecting(node)
    with_zeros = replace(node, args=(node.args[0], widths, "constant", 0.0), kwargs={})
    return Affine(as_written(node), as_written(with_zeros), as_written(with_zeros))


PADDING = {str(torch.ops.aten.pad.default): pad}


RULES = {**AVERAGES, **UPSAMPLING, **PADDING}
