"""Means, sums, running sums and average pooling.

The variance of an average is at most the average of the variances, so each is its own bound on squared coefficients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transect.graph import Node
from transect.rules.base import MIXES_ROWS, Affine, Refused, only_input, row_dim, stored_dim
from transect.rules.written import as_written, keep_samples_apart


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
        pooled = target(x.unsqueeze(1) if unbatched else x, *geometry)
        return pooled.squeeze(1) if unbatched else pooled

    return Affine.selecting(pool)


_aten = torch.ops.aten
RULES = {
    **{str(op): reduction for op in (_aten.mean.dim, _aten.mean.default, _aten.sum.dim_IntList, _aten.sum.default)},
    str(_aten.cumsum.default): running_sum,
    **{str(op): pooling for op in (_aten.avg_pool1d.default, _aten.avg_pool2d.default, _aten.avg_pool3d.default,
                                   _aten._adaptive_avg_pool2d.default, _aten._adaptive_avg_pool3d.default,
                                   _aten.adaptive_avg_pool1d.default, _aten.adaptive_avg_pool2d.default,
                                   _aten.adaptive_avg_pool3d.default)},
}  # fmt: skip
