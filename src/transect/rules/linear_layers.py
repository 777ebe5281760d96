"""Linear layers: ``linear``, ``addmm``, ``mm`` with constant weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, Affine, Function, Refused, row_dim, squared_rows


def _weights(node: Node, x: object, weight: object) -> tuple[Value, Tensor]:
    if not isinstance(weight, Tensor) or not isinstance(x, Value):
        raise Refused("it multiplies activations by one another, or a constant from the left by samples", ESTIMATE)
    if row_dim(x) == len(x.shape) - 1:
        raise Refused("it sums over the dimension that counts the samples", "transpose before the product")
    return x, weight


def _product(weight: Tensor, bias: Tensor | None) -> Affine:
    """``weight`` is (out, in), as in ``torch.nn.Linear``."""
    squared, size = squared_rows(weight)
    return Affine(
        value=lambda x: functional.linear(x, weight, bias),
        linear=lambda x: functional.linear(x, weight),
        squares=lambda x: functional.linear(x, squared) * size * size,
    )


def linear(node: Node) -> Affine:
    """``linear(x, weight, bias=None)``."""
    _, weight = _weights(node, node.args[0], node.args[1])
    bias = node.args[2] if len(node.args) > 2 else None
    if isinstance(bias, Value):
        raise Refused("its bias depends on the input", ESTIMATE)
    return _product(weight, bias) if weight.dim() == 2 else _with_a_vector(weight, bias)


def _with_a_vector(weight: Tensor, bias: Tensor | None) -> Affine:
    """One output, without a dimension of its own."""
    product = _product(weight.unsqueeze(0), None if bias is None else bias.reshape(1))

    def one(function: Function) -> Function:
        return lambda x: function(x).squeeze(-1)

    return Affine(one(product.value), one(product.linear), one(product.squares))


def mm(node: Node) -> Affine:
    """``mm(x, matrix)``."""
    _, matrix = _weights(node, node.args[0], node.args[1])
    return _product(matrix.t().contiguous(), None)


def addmm(node: Node) -> Affine:
    """``addmm(bias, x, matrix, beta=1, alpha=1)``."""
    bias = node.args[0]
    _, matrix = _weights(node, node.args[1], node.args[2])
    if isinstance(bias, Value):
        raise Refused("it adds one product of activations to another activation", "write the sum as an addition")
    alpha, beta = node.kwargs.get("alpha", 1), node.kwargs.get("beta", 1)
    if bias.dim() > 1 and bias.shape[0] != 1:
        raise Refused("its bias differs from sample to sample", "use one bias for all samples")
    flat = (bias * beta).expand(1, matrix.shape[1]).reshape(-1) if bias.dim() != 1 else bias * beta
    return _product((matrix.t() * alpha).contiguous(), flat.expand(matrix.shape[1]).contiguous())


RULES = {
    str(torch.ops.aten.linear.default): linear,
    str(torch.ops.aten.addmm.default): addmm,
    str(torch.ops.aten.mm.default): mm,
}
