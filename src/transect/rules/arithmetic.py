"""Sums and differences of activations and constants; products and quotients with constants."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, Affine, Function, Refused, broadcast_to, only_input, row_dim, stored_constant


def full_like(node: Node) -> Affine:
    """``full_like(x, value)``: reads the shape of x, and none of its numbers."""
    row_dim(only_input(node))
    number = node.args[1]
    if not isinstance(number, int | float):
        raise Refused("it fills a tensor with something that is not a number", "use a number")
    return Affine(lambda x: torch.full_like(x, number), torch.zeros_like, torch.zeros_like)


CONSTANTS = {str(torch.ops.aten.full_like.default): full_like}


def add(node: Node) -> Affine:
    """``add(a, b, alpha=1)``."""
    return _sum(node, node.args[0], node.args[1], 1, node.kwargs.get("alpha", 1))


def sub(node: Node) -> Affine:
    """``sub(a, b, alpha=1)``."""
    return _sum(node, node.args[0], node.args[1], 1, -node.kwargs.get("alpha", 1))


def rsub(node: Node) -> Affine:
    """``rsub(a, b, alpha=1) = b - alpha a``."""
    return _sum(node, node.args[1], node.args[0], 1, -node.kwargs.get("alpha", 1))


def _sum(node: Node, a: Any, b: Any, factor_a: float, factor_b: float) -> Affine:
    out = node.value
    assert out is not None
    if isinstance(a, Value) and isinstance(b, Value):
        return _sum_of_values(broadcast_to(a, out), broadcast_to(b, out), factor_a, factor_b)
    value, factor = (a, factor_a) if isinstance(a, Value) else (b, factor_b)
    constant, other = (b, factor_b) if isinstance(a, Value) else (a, factor_a)
    shift = _constant(constant, out) * other
    place, shape = broadcast_to(value, out), out.unit_shape

    def scaled(x: Tensor, scale: float) -> Tensor:
        x = place(x)
        return (x if scale == 1 else x * scale).expand(x.shape[0], *shape)

    return Affine(
        value=lambda x: scaled(x, factor) + shift,
        linear=lambda x: scaled(x, factor),
        squares=lambda x: scaled(x, factor * factor),
    )


def _sum_of_values(place_a: Function, place_b: Function, factor_a: float, factor_b: float) -> Affine:
    def combine(a: Tensor, b: Tensor) -> Tensor:
        a = place_a(a)
        return torch.add(a if factor_a == 1 else a * factor_a, place_b(b), alpha=factor_b)

    def squares(a: Tensor, b: Tensor) -> Tensor:
        return place_a(a) * factor_a**2 + place_b(b) * factor_b**2

    return Affine(combine, combine, squares)


def mul(node: Node) -> Affine:
    """``mul(a, b)`` where one factor is constant."""
    return _product(node, node.args[0], node.args[1])


def div(node: Node) -> Affine:
    """``div(a, b)`` with a constant divisor and no rounding mode."""
    if node.kwargs.get("rounding_mode") is not None:
        raise Refused("it rounds, and so jumps", ESTIMATE)
    if isinstance(node.args[1], Value):
        raise Refused("it divides by an activation", ESTIMATE)
    return _product(node, node.args[0], _reciprocal(node.args[1]))


def _reciprocal(divisor: Any) -> Any:
    return 1.0 / divisor


def neg(node: Node) -> Affine:
    """``neg(a)``."""
    return Affine(torch.neg, torch.neg, lambda x: x)


def _product(node: Node, a: Any, b: Any) -> Affine:
    if isinstance(a, Value) and isinstance(b, Value):
        raise Refused("it multiplies activations by one another", ESTIMATE)
    value, constant = (a, b) if isinstance(a, Value) else (b, a)
    out = node.value
    assert out is not None
    scale, place, shape = _constant(constant, out), broadcast_to(value, out), out.unit_shape
    squared = (scale.double() if isinstance(scale, Tensor) else scale) ** 2

    def times(x: Tensor, factor: Any) -> Tensor:
        product: Tensor = place(x) * factor
        return product.expand(product.shape[0], *shape)

    return Affine(lambda x: times(x, scale), lambda x: times(x, scale), lambda x: times(x, squared))


def _constant(constant: Any, out: Value) -> Any:
    row_dim(out)
    if isinstance(constant, Tensor):
        return stored_constant(constant, out)
    if isinstance(constant, int | float | bool):
        return constant
    raise Refused("it combines activations with the number of samples", "use constants that do not depend on the batch")


ARITHMETIC = {
    str(torch.ops.aten.add.Tensor): add,
    str(torch.ops.aten.add.Scalar): add,
    str(torch.ops.aten.sub.Tensor): sub,
    str(torch.ops.aten.sub.Scalar): sub,
    str(torch.ops.aten.rsub.Scalar): rsub,
    str(torch.ops.aten.rsub.Tensor): rsub,
    str(torch.ops.aten.mul.Tensor): mul,
    str(torch.ops.aten.mul.Scalar): mul,
    str(torch.ops.aten.div.Tensor): div,
    str(torch.ops.aten.div.Scalar): div,
    str(torch.ops.aten.div.Tensor_mode): div,
    str(torch.ops.aten.neg.default): neg,
}


RULES = {**CONSTANTS, **ARITHMETIC}
