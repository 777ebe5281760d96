"""Upsampling and resizing: nearest, linear in one to three dimensions, bicubic."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import MIXES_ROWS, Affine, Refused, only_input, row_dim
from transect.rules.written import as_written

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


_aten = torch.ops.aten
RULES = {
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
