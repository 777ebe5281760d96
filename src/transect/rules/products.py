"""Matrix products with a constant factor on either side: ``matmul``, ``bmm``, ``einsum``."""

from __future__ import annotations

from typing import Any

import torch

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, MIXES_ROWS, Affine, Refused, row_dim
from transect.rules.written import as_written, with_constants


def matmul(node: Node) -> Affine:
    """``matmul(a, b)`` and ``bmm(a, b)`` with one constant factor; the samples are not summed over."""
    a, b = node.args[:2]
    if isinstance(a, Value) and isinstance(b, Value):
        raise Refused("it multiplies activations by one another", ESTIMATE)
    x, summed = (a, len(a.shape) - 1) if isinstance(a, Value) else (b, max(len(b.shape) - 2, 0))
    if row_dim(x) == summed:
        raise Refused("it sums over the dimension that counts the samples", MIXES_ROWS)
    return _product(node)


def einsum(node: Node) -> Affine:
    """``einsum(equation, operands)`` with one activation, whose samples are in the result and in no constant."""
    equation, operands = node.args[:2]
    values = [part for part in operands if isinstance(part, Value)]
    if len(values) != 1:
        raise Refused("it multiplies activations by one another", ESTIMATE)
    given, _, result = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    place = next(index for index, part in enumerate(operands) if isinstance(part, Value))
    if "." in equation or not result:
        raise Refused("its equation leaves dimensions unnamed", "name every dimension, and the result's")
    letter = terms[place][row_dim(values[0])]
    if letter not in result or any(letter in term for index, term in enumerate(terms) if index != place):
        raise Refused("it sums over the samples, or multiplies each by a number of its own", MIXES_ROWS)
    if any(terms[place].count(one) > 1 for one in terms[place]):
        raise Refused("it takes a diagonal of an activation", "use torch.diagonal")
    return _product(node)


def _product(node: Node) -> Affine:
    value = as_written(node)
    return Affine(value, value, as_written(with_constants(node, lambda constant: constant.double().square())))


_aten = torch.ops.aten
RULES: dict[str, Any] = {
    str(_aten.matmul.default): matmul,
    str(_aten.bmm.default): matmul,
    str(_aten.einsum.default): einsum,
}
