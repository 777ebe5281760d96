"""The graph of a captured model: nodes whose values have one row per input point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

ROWS = -1  # stands for the number of rows in a shape


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the input (or at least on the number of rows).

    Attributes:
        name: Name of the node that makes it.
        shape: Its sizes; the row dimension is :data:`ROWS`.
        row_dim: Position of the row dimension, or None where the exported graph has lost it.
        floating: Whether it is made of floating-point numbers, and not of truth values or indices.
    """

    name: str
    shape: tuple[int, ...]
    row_dim: int | None
    floating: bool = True

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Sizes of one row: the shape without its row dimension."""
        return tuple(size for dim, size in enumerate(self.shape) if dim != self.row_dim)


@dataclass(frozen=True)
class Rows:
    """An integer argument computed from the number of rows, such as ``x.size(0)``."""

    name: str


@dataclass(frozen=True)
class Node:
    """One operation of the exported graph.

    Attributes:
        name: Unique name in the graph.
        operation: The operation as ATen names it, such as ``aten.relu.default``.
        target: The callable itself.
        args: Its positional arguments: :class:`Value`, :class:`Rows`, constant tensors, numbers and sequences of them.
        kwargs: Its keyword arguments.
        value: What it makes (None for numbers).
        module: Path and class of the module it comes from, such as ``layer1.0.relu (ReLU)``.
        source: File, line and text of the user's deepest frame, or an empty string.
        from_input: Whether its value depends on the input, and not only on the number of rows.
        part: Which of several results this is, where the operation has several; else None.
        written: The operation the user wrote, where this node stands for a part of it; else an empty string.
    """

    name: str
    operation: str
    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    value: Value | None
    module: str
    source: str
    from_input: bool
    part: int | None = None
    written: str = ""

    def inputs(self) -> tuple[Value, ...]:
        """The values the node reads, in order of its arguments (repeated where it reads one twice)."""
        return tuple(found for found in _flatten((self.args, dict(self.kwargs))) if isinstance(found, Value))


@dataclass(frozen=True)
class Graph:
    """A captured model: nodes in order of execution, from ``input`` to ``output``."""

    nodes: tuple[Node, ...]
    input: Value
    output: Value
    dtype: torch.dtype
    device: torch.device
    notes: tuple[str, ...] = field(default=())

    def evaluate(self, x: Tensor) -> Tensor:
        """Run the exported operations as they are, without any rule: the reference of every verification."""
        known: dict[str, Any] = {self.input.name: x}
        for node in self.nodes:
            args, kwargs = (replace(part, known) for part in (node.args, dict(node.kwargs)))
            if node.operation in NO_BROADCAST:
                args = with_all_rows(node, args, len(x))
            result = node.target(*args, **kwargs)
            known[node.name] = result if node.part is None else result[node.part]
        return known[self.output.name]


NO_BROADCAST = frozenset(
    f"aten.{name}" for name in ("cat.default", "slice_scatter.default", "select_scatter.default", "gather.default",
                                "diagonal_scatter.default", "index_put.default", "copy.default", "bmm.default")
)  # fmt: skip
"""Operations that do not broadcast the one row of a constant by themselves."""


def with_all_rows(node: Node, argument: Any, rows: int) -> Any:
    """Arguments whose constants of one row, along the row dimension of the result, are given as many as there are."""
    if isinstance(argument, tuple | list):
        return type(argument)(with_all_rows(node, part, rows) for part in argument)
    made = node.value
    if made is None or made.row_dim is None or not isinstance(argument, Tensor):
        return argument
    dim, places = made.row_dim, not argument.is_floating_point() and not node.operation.startswith("aten.gather")
    if rows == 1 or places or argument.dim() != len(made.shape) or argument.shape[dim] != 1:
        return argument
    return argument.expand(*argument.shape[:dim], rows, *argument.shape[dim + 1 :])


def replace(argument: Any, known: Mapping[str, Any]) -> Any:
    """An argument with every :class:`Value` and :class:`Rows` replaced by what is known under its name."""
    if isinstance(argument, Value | Rows):
        return known[argument.name]
    if isinstance(argument, tuple | list):
        return type(argument)(replace(part, known) for part in argument)
    if isinstance(argument, dict):
        return {key: replace(part, known) for key, part in argument.items()}
    return argument


def _flatten(argument: Any) -> Iterator[Any]:
    if isinstance(argument, tuple | list):
        for part in argument:
            yield from _flatten(part)
    elif isinstance(argument, dict):
        yield from _flatten(list(argument.values()))
    else:
        yield argument
