"""Convolutions of one, two or three dimensions; every stride, padding, dilation and number of groups."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, MIXES_ROWS, Affine, Refused, row_dim


def convolution(node: Node) -> Affine:
    """``convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups)``."""
    x, weight, bias, *geometry = node.args
    if not isinstance(x, Value) or isinstance(weight, Value) or isinstance(bias, Value):
        raise Refused("its weight or bias depends on the input: a product of activations", ESTIMATE)
    if row_dim(x) != 0:
        raise Refused("it reads the samples as channels or positions", MIXES_ROWS)
    squared = weight.square()

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.ops.aten.convolution.default(x, weight, bias, *geometry)

    return Affine(
        value=lambda x: convolve(x, weight, bias),
        linear=lambda x: convolve(x, weight, None),
        squares=lambda x: convolve(x, squared, None),
    )


RULES = {str(torch.ops.aten.convolution.default): convolution}
