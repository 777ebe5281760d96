"""The graph of a captured model: nodes whose values have one row per input point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
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
        complex: Whether it is made of complex numbers.
    """

    name: str
    shape: tuple[int, ...]
    row_dim: int | None
    floating: bool = True
    complex: bool = False

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
        absent: Which numbers of its operand a maximum passes over, since they are minus infinity; None for none.
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
    absent: Tensor | None = None

    def inputs(self) -> tuple[Value, ...]:
        """The values the node reads, in order of its arguments (repeated where it reads one twice)."""
        return tuple(found for found in leaves((self.args, dict(self.kwargs))) if isinstance(found, Value))


@dataclass(frozen=True)
class Graph:
    """A captured model: nodes in order of execution, from ``input`` to ``output``."""

    nodes: tuple[Node, ...]
    input: Value
    output: Value
    dtype: torch.dtype
    device: torch.device
    notes: tuple[str, ...] = field(default=())

    def evaluate(self, x: Tensor, see: Callable[[Node, Any], None] | None = None) -> Tensor:
        """Run the exported operations as they are, without any rule: the reference of every verification.

        Args:
            x: A batch of inputs.
            see: Is shown every node with what it made.
        """
        known: dict[str, Any] = {self.input.name: x}
        for node in self.nodes:
            args, kwargs = (replace(part, known) for part in (node.args, dict(node.kwargs)))
            if node.operation in NO_BROADCAST:
                args = with_all_rows(node, args, len(x))
            result = node.target(*args, **kwargs)
            known[node.name] = result if node.part is None else result[node.part]
            if see is not None:
                see(node, known[node.name])
            del result, args, kwargs  # or they would keep what is dropped here
            for name in self._unread_after[node.name]:
                del known[name]
        made: Tensor = known[self.output.name]
        return made

    @cached_property
    def _unread_after(self) -> dict[str, list[str]]:
        """For each node, the values that no later node reads: deep networks do not fit in memory with all of them."""
        last_reader = {node.name: node.name for node in self.nodes}  # what nobody reads goes at once
        for node in self.nodes:
            for read in leaves((node.args, dict(node.kwargs))):
                if isinstance(read, Value | Rows):
                    last_reader[read.name] = node.name
        last_reader.pop(self.output.name, None)
        unread: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for name, reader in last_reader.items():
            unread[reader].append(name)
        return unread


def is_random(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether an operation draws random numbers: as torch marks it, unless its arguments say that it does not."""
    if not isinstance(target, torch._ops.OpOverload) or torch.Tag.nondeterministic_seeded not in target.tags:
        return False
    schema = target._schema.arguments
    given = {argument.name: argument.default_value for argument in schema}
    given |= dict(zip([argument.name for argument in schema], args, strict=False)) | dict(kwargs)
    return given.get("training") is not False and given.get("train") is not False and given.get("dropout_p") != 0


NO_BROADCAST = frozenset(
    f"aten.{name}"
    for name in "cat.default stack.default slice_scatter.default select_scatter.default gather.default "
    "index_put.default copy.default bmm.default scatter.src scatter.value scatter_add.default "
    "grid_sampler_2d.default grid_sampler_3d.default scatter_reduce.two _trilinear.default".split()
)
"""Operations that do not broadcast the one row of a constant by themselves."""


def with_all_rows(node: Node, argument: Any, rows: int) -> Any:
    """Arguments whose constants of one row, along the row dimension of the result, are given as many as there are."""
    dim, dims = (None, 0) if node.value is None else (node.value.row_dim, len(node.value.shape))
    if dim is None or rows == 1 or (node.operation.startswith("aten.bmm") and dim != 0):
        return argument
    indices_have_rows = node.operation.startswith(("aten.gather", "aten.scatter"))

    def expanded(part: Any) -> Any:
        if not isinstance(part, Tensor) or part.dim() != dims or part.shape[dim] != 1:
            return part
        if not part.is_floating_point() and not indices_have_rows:
            return part
        return part.expand(*part.shape[:dim], rows, *part.shape[dim + 1 :])

    return mapped(argument, expanded)


def replace(argument: Any, known: Mapping[str, Any]) -> Any:
    """An argument with every :class:`Value` and :class:`Rows` replaced by what is known under its name."""
    return mapped(argument, lambda part: known[part.name] if isinstance(part, Value | Rows) else part)


def mapped(argument: Any, change: Callable[[Any], Any]) -> Any:
    """Nested arguments with every entry changed."""
    if isinstance(argument, tuple | list):
        return type(argument)(mapped(part, change) for part in argument)
    if isinstance(argument, dict):
        return {key: mapped(part, change) for key, part in argument.items()}
    return change(argument)


def leaves(argument: Any) -> Iterator[Any]:
    """All entries of nested arguments."""
    if isinstance(argument, tuple | list):
        for part in argument:
            yield from leaves(part)
    elif isinstance(argument, dict):
        yield from leaves(list(argument.values()))
    else:
        yield argument
