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
    """

    name: str
    shape: tuple[int, ...]
    row_dim: int | None

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
            if node.operation == "aten.cat.default":  # which does not broadcast the one row of a constant by itself
                args = (_same_rows(args[0], node.value, len(x)), *args[1:])
            result = node.target(*args, **kwargs)
            known[node.name] = result[0] if isinstance(result, tuple | list) and node.value is not None else result
        return known[self.output.name]


def _same_rows(parts: Any, made: Value | None, rows: int) -> Any:
    if made is None or made.row_dim is None:
        return parts
    dim = made.row_dim
    alike = [part.shape[dim] == 1 and part.dim() == len(made.shape) for part in parts]
    return [
        part.expand(*part.shape[:dim], rows, *part.shape[dim + 1 :]) if one and rows > 1 else part
        for part, one in zip(parts, alike, strict=True)
    ]


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
