"""Convolutions of one, two or three dimensions; every stride, padding, dilation and number of groups."""

from __future__ import annotations

import torch

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, MIXES_ROWS, Affine, Refused, row_dim, squared_rows
from transect.rules.convolving import Geometry


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
