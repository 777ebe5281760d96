"""Views, permutations and selections: operations that only move numbers within a row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from transect.graph import Node, Rows, Value
from transect.rules.base import MIXES_ROWS, Affine, Refused, only_input, row_dim, stored_dim


def _out(node: Node) -> Value:
    assert node.value is not None
    row_dim(node.value)
    return node.value


def view(node: Node) -> Affine:
    """``view``, ``reshape``, ``flatten``, ``squeeze``, ``unsqueeze``: the order of the numbers of a row stays."""
    x, out = only_input(node), _out(node)
    before = [math.prod(value.shape[: row_dim(value)]) for value in (x, out)]
    if before[0] != before[1]:
        raise Refused("it moves numbers from sample to sample", MIXES_ROWS)
    shape = out.unit_shape
    return Affine.selecting(lambda x: x.reshape(x.shape[0], *shape))


def permute(node: Node) -> Affine:
    """``permute(x, dims)``, ``transpose(x, a, b)`` and ``t(x)``."""
    x, out = only_input(node), _out(node)
    order = _order(node, len(x.shape))
    moved = [stored_dim(x, dim) for dim in order if dim != row_dim(x)]
    assert order.index(row_dim(x)) == out.row_dim
    return Affine.selecting(lambda x: x.permute(0, *moved))


def _order(node: Node, dims: int) -> list[int]:
    if node.operation.startswith("aten.permute"):
        return [dim % dims for dim in node.args[1]]
    a, b = (0, dims - 1) if node.operation.startswith("aten.t.") else (node.args[1] % dims, node.args[2] % dims)
    order = list(range(dims))
    order[a], order[b] = order[b], order[a]
    return order


def expand(node: Node) -> Affine:
    """``expand(x, sizes)``, also with new leading dimensions."""
    x, out = only_input(node), _out(node)
    missing = len(out.shape) - len(x.shape)
    if row_dim(x) + missing != out.row_dim:
        raise Refused("it repeats the samples along a new dimension in their place", MIXES_ROWS)
    shape, ones = out.unit_shape, (1,) * missing
    return Affine.selecting(lambda x: x.reshape(x.shape[0], *ones, *x.shape[1:]).expand(x.shape[0], *shape))


def slice_(node: Node) -> Affine:
    """``slice(x, dim=0, start=None, end=None, step=1)``; a slice of all samples is the identity."""
    x = only_input(node)
    given = dict(zip(("dim", "start", "end", "step"), node.args[1:], strict=False))
    dim, start, end, step = given.get("dim", 0), given.get("start"), given.get("end"), given.get("step", 1)
    if dim % len(x.shape) == row_dim(x):
        if (start or 0) == 0 and step == 1 and (end is None or isinstance(end, Rows) or end >= 2**62):
            return Affine.selecting(lambda x: x)
        raise Refused("it selects some of the samples", MIXES_ROWS)
    where = (slice(None),) * stored_dim(x, dim) + (_slice(start, end, step, x.shape[dim]),)
    return Affine.selecting(lambda x: x[where])


def _slice(start: int | None, end: int | None, step: int, size: int) -> slice:
    return slice(*slice(start, end, step).indices(size))


def select(node: Node) -> Affine:
    """``select(x, dim, index)``."""
    x = only_input(node)
    dim, index = stored_dim(x, node.args[1], "it selects along"), node.args[2]
    return Affine.selecting(lambda x: x.select(dim, index))


def cat(node: Node) -> Affine:
    """``cat(tensors, dim=0)`` of activations and constants."""
    out = _out(node)
    dim = stored_dim(out, node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0), "it concatenates along")
    parts = [_part(part, out) for part in node.args[0] if not _is_legacy_empty(part)]

    def joined(constants: bool) -> Any:
        def join(*values: Tensor) -> Tensor:
            rows, given = values[0].shape[0], iter(values)
            return torch.cat([_fill(part, given, rows, constants) for part in parts], dim)

        return join

    return Affine(joined(True), joined(False), joined(False))


def stack(node: Node) -> Affine:
    """``stack(tensors, dim=0)`` of activations and constants, also along a new first dimension."""
    out = _out(node)
    new = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    dim = stored_dim(out, new, "it stacks along")
    ones = replace(out, shape=tuple(size for at, size in enumerate(out.shape) if at != new % len(out.shape)),
                   row_dim=row_dim(out) - (new % len(out.shape) < row_dim(out)))  # fmt: skip
    parts = [_part(part, ones) for part in node.args[0]]

    def stacked(constants: bool) -> Any:
        def join(*values: Tensor) -> Tensor:
            rows, given = values[0].shape[0], iter(values)
            return torch.stack([_fill(part, given, rows, constants) for part in parts], dim)

        return join

    return Affine(stacked(True), stacked(False), stacked(False))


def _is_legacy_empty(part: Any) -> bool:
    return isinstance(part, Tensor) and part.shape == (0,)


def _part(part: Any, out: Value) -> Tensor | None:
    """The constant operand rows first, or None where the operand is an activation."""
    if isinstance(part, Value):
        if row_dim(part) != out.row_dim:
            raise Refused("it concatenates tensors whose samples lie along different dimensions", MIXES_ROWS)
        return None
    if part.shape[out.row_dim] != 1:
        raise Refused("it concatenates a constant that differs from sample to sample", MIXES_ROWS)
    constant: Tensor = part.movedim(out.row_dim, 0)
    return constant


def _fill(part: Tensor | None, given: Iterator[Tensor], rows: int, constants: bool) -> Tensor:
    if part is None:
        return next(given)
    return (part if constants else torch.zeros_like(part)).expand(rows, *part.shape[1:])


def identity(node: Node) -> Affine:
    """Copies, aliases, dropout in evaluation, changes among floating dtypes (the engine works in one)."""
    only_input(node)
    dtype = node.kwargs.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise Refused(f"it converts activations to {dtype}", "keep activations in floating point")
    return Affine.selecting(lambda x: x)


_aten = torch.ops.aten
RULES = {
    **{str(op): view for op in (_aten.view.default, _aten._unsafe_view.default, _aten.reshape.default,
                                _aten.squeeze.default, _aten.squeeze.dim, _aten.squeeze.dims,
                                _aten.unsqueeze.default, _aten.flatten.using_ints)},
    **{str(op): permute for op in (_aten.permute.default, _aten.transpose.int, _aten.t.default)},
    **{str(op): identity for op in (_aten.clone.default, _aten.alias.default, _aten.detach.default,
                                    _aten._to_copy.default, _aten.lift_fresh_copy.default, _aten.contiguous.default,
                                    _aten.dropout.default)},
    str(_aten.expand.default): expand,
    str(_aten.slice.Tensor): slice_,
    str(_aten.select.int): select,
    str(_aten.cat.default): cat,
    str(_aten.stack.default): stack,
}  # fmt: skip
