"""Selections that do not depend on the input: ``where``, ``masked_fill`` with a constant condition; first powers."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import (
    CONTINUOUS,
    ESTIMATE,
    Affine,
    Function,
    Refused,
    broadcast_to,
    only_input,
    stored_constant,
)
from transect.rules.shapes import identity


def where(node: Node) -> Affine:
    """``where(condition, a, b)`` and ``masked_fill(x, condition, number)`` with a constant condition."""
    made = node.value
    assert made is not None
    masked = "masked_fill" in node.operation
    condition, a, b = (node.args[1], node.args[2], node.args[0]) if masked else node.args[:3]
    if isinstance(condition, Value):
        raise Refused("it selects by a comparison of activations, and its pieces do not meet there", CONTINUOUS)
    mask = stored_constant(condition, made)
    places = [broadcast_to(part, made) if isinstance(part, Value) else None for part in (a, b)]
    numbers = [mask if isinstance(part, Value) else _stored(part, made, mask) for part in (a, b)]

    def chosen(numbers: list[Tensor]) -> Function:
        def choose(*values: Tensor) -> Tensor:
            given = iter(values)
            one, other = (number if place is None else place(next(given))
                          for place, number in zip(places, numbers, strict=True))  # fmt: skip
            return torch.where(mask, one, other).expand(values[0].shape[0], *made.unit_shape)

        return choose

    without = chosen([torch.zeros_like(number) for number in numbers])
    return Affine(chosen(numbers), without, without)


def _stored(number: object, made: Value, mask: Tensor) -> Tensor:
    if isinstance(number, Tensor):
        return stored_constant(number, made)
    return torch.as_tensor(number, device=mask.device)


def power(node: Node) -> Affine:
    """``pow(x, 1)``, as it is left over from the norm of order 1."""
    only_input(node)
    if node.args[1] != 1:
        raise Refused("it bends smoothly: the network is not piecewise affine", ESTIMATE)
    return identity(node)


_aten = torch.ops.aten
RULES = {
    **{str(op): where for op in (_aten.where.self, _aten.where.ScalarOther, _aten.where.ScalarSelf,
                                 _aten.masked_fill.Scalar, _aten.masked_fill.Tensor)},
    str(_aten.pow.Tensor_Scalar): power,
    str(_aten.nan_to_num.default): identity,
}  # fmt: skip
