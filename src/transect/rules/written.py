"""Operations carried out as they were exported: for the many that only need a proof that samples do not mix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from transect.graph import Node, Rows, Value
from transect.graph.node import NO_BROADCAST, leaves, mapped, with_all_rows
from transect.graph.node import replace as replaced
from transect.rules.base import MIXES_ROWS, Affine, Function, Refused, row_dim


def as_written(node: Node) -> Function:
    """The exported operation on values whose rows come first; its result has them first again.

    Raises:
        Refused: It reads the number of samples, or has lost them.
    """
    if any(isinstance(part, Rows) for part in leaves((node.args, dict(node.kwargs)))):
        raise Refused("it computes with the number of samples", "use constants that do not depend on the batch")
    values, made = node.inputs(), node.value
    assert made is not None
    places, place = [row_dim(value) for value in values], row_dim(made)

    def run(*operands: Tensor) -> Tensor:
        known = {value.name: x.movedim(0, dim) for value, x, dim in zip(values, operands, places, strict=True)}
        args, kwargs = replaced(node.args, known), replaced(dict(node.kwargs), known)
        if node.operation in NO_BROADCAST:
            args = with_all_rows(node, args, operands[0].shape[0])
        result = node.target(*args, **kwargs)
        made: Tensor = result if node.part is None else result[node.part]
        return made.movedim(place, 0)

    return run


def selecting(node: Node) -> Affine:
    """An operation that only moves, repeats or leaves out numbers, some of which may be constants."""
    without = as_written(with_constants(node, torch.zeros_like))
    squares = as_written(with_constants(node, lambda constant: torch.zeros_like(constant, dtype=torch.float64)))
    return Affine(as_written(node), without, squares)


def with_constants(node: Node, change: Callable[[Tensor], Tensor]) -> Node:
    """The node with its floating-point constants changed."""

    def changed(part: Any) -> Any:
        return change(part) if isinstance(part, Tensor) and part.is_floating_point() else part

    return replace(node, args=mapped(node.args, changed), kwargs=mapped(dict(node.kwargs), changed))


def keep_samples_apart(node: Node, *dims: int) -> None:
    """Hold that an operation along ``dims`` (as the user counts them, of its first value) leaves the rows alone.

    Raises:
        Refused: One of them is the row dimension of a value, or the values' rows lie along different dimensions.
    """
    values = node.inputs()
    first = values[0]
    if any(dim % len(first.shape) == row_dim(first) for dim in dims):
        raise Refused("it works along the dimension that counts the samples, and so mixes them", MIXES_ROWS)
    if node.value is not None and any(_from_the_end(value) != _from_the_end(first) for value in values[1:]):
        raise Refused("it joins tensors whose samples lie along different dimensions", MIXES_ROWS)


def _from_the_end(value: Value) -> int:
    return row_dim(value) - len(value.shape)


def argument(node: Node, place: int, name: str, default: Any) -> Any:
    """An argument by position or by name."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)
