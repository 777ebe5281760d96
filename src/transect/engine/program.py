"""A covered graph compiled for the engine: steps over numbered slots, with liveness and cost worked out beforehand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transect.graph import Graph
from transect.rules import Affine, Bend, Envelope, Hinge, Step
from transect.support.precision import full_precision

INPUT = "input"


@dataclass(frozen=True)
class Instruction:
    """One step of the program.

    Attributes:
        operation: What it does.
        reads: Slots it reads, one per operand.
        writes: Slot it writes.
        frees: Slots that nobody reads afterwards.
        bend: Index among the bending operations, or -1.
        in_prefix: Affine and downstream of no bend: evaluated once a segment, as a start and a direction.
        row_elements: Most numbers a row keeps alive from this instruction to the next bending one.
        shape: Shape of one row of its (first) operand.
    """

    operation: Affine | Bend
    reads: tuple[str, ...]
    writes: str
    frees: tuple[str, ...]
    bend: int
    in_prefix: bool
    row_elements: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """What the engine executes.

    Attributes:
        instructions: In order.
        input: Slot of the input.
        output: Slot of the output.
        bends: Names of the bending operations, ``layer1.0.relu`` or ``relu@1`` for the second call of one module.
        units: Number of units of each bending operation.
        pieces: Number of pieces of a unit of each.
    """

    instructions: tuple[Instruction, ...]
    input: str
    output: str
    bends: tuple[str, ...]
    units: tuple[int, ...]
    pieces: tuple[int, ...]

    @property
    def row_elements(self) -> int:
        """Most numbers that one row keeps alive at any time; at least 1."""
        return max([1, *(instruction.row_elements for instruction in self.instructions)])

    def evaluate(self, x: Tensor) -> Tensor:
        """The function at a batch of inputs, each row by the rules' own operations."""
        with full_precision():
            for _, _, result in self.walk(x):
                x = result
        return x

    def walk(self, x: Tensor) -> Iterator[tuple[Instruction, tuple[Tensor, ...], Tensor]]:
        """Evaluate a batch, handing out every instruction with its operands and its result."""
        values = {self.input: x}
        for instruction in self.instructions:
            operands = tuple(values[slot] for slot in instruction.reads)
            operation = instruction.operation
            result = (
                operation.value(*operands) if isinstance(operation, Affine) else operation.apply(operands[0].clone())
            )
            values[instruction.writes] = result
            yield instruction, operands, result
            for slot in instruction.frees:
                values.pop(slot, None)


def compile_program(graph: Graph, steps: Sequence[Step]) -> Program:
    """Number the bends, find the affine prefix, the last reader of every slot and the cost of a row."""
    last_read = {slot.name: index for index, step in enumerate(steps) for slot in step.node.inputs()}
    last_read[graph.output.name] = len(steps)
    prefix = _prefix(graph, steps)
    costs = _row_elements(steps, last_read, prefix, graph)
    names, sizes = _bends(steps)
    bend_index = iter(range(len(names)))
    instructions = tuple(
        Instruction(
            operation=_held_in(step.operation, graph.dtype),
            reads=tuple(value.name for value in step.node.inputs()),
            writes=step.node.name,
            frees=tuple({value.name for value in step.node.inputs() if last_read[value.name] == index}),
            bend=-1 if isinstance(step.operation, Affine) else next(bend_index),
            in_prefix=step.node.name in prefix,
            row_elements=costs[index],
            shape=step.node.inputs()[0].unit_shape,
        )
        for index, step in enumerate(steps)
    )
    return Program(instructions, graph.input.name, graph.output.name, names, *sizes)


def _held_in(operation: Affine | Bend, dtype: torch.dtype) -> Affine | Bend:
    return operation.held_in(dtype) if isinstance(operation, Hinge) else operation


def _prefix(graph: Graph, steps: Sequence[Step]) -> set[str]:
    prefix = {graph.input.name}
    for step in steps:
        if isinstance(step.operation, Affine) and all(value.name in prefix for value in step.node.inputs()):
            prefix.add(step.node.name)
    return prefix


def _bends(steps: Sequence[Step]) -> tuple[tuple[str, ...], tuple[tuple[int, ...], tuple[int, ...]]]:
    """Names of the bending operations; how many units each has, and how many pieces a unit."""
    bends = [step for step in steps if not isinstance(step.operation, Affine)]
    seen: Counter[str] = Counter()
    names = []
    for step in bends:
        name = step.node.module.partition(" (")[0]
        kind = (step.node.written or step.node.operation).split(".")[1].removesuffix("_with_indices")
        is_layer = hasattr(nn, step.node.module.rpartition("(")[2].rstrip(")"))  # one of torch's: ReLU, MaxPool2d
        name = name if is_layer else f"{name}.{kind}" if name and name != "model" else kind
        names.append(f"{name}@{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return tuple(names), (tuple(map(_units, bends)), tuple(map(_pieces, bends)))


def _units(step: Step) -> int:
    assert step.node.value is not None
    return math.prod(step.node.value.unit_shape)


def _pieces(step: Step) -> int:
    operation = step.operation
    assert not isinstance(operation, Affine)
    return operation.windows.shape[1] if isinstance(operation, Envelope) else len(operation.thresholds) + 1


def _row_elements(steps: Sequence[Step], last_read: dict[str, int], prefix: set[str], graph: Graph) -> list[int]:
    """Live numbers a row after each step, then the maximum up to and including the next bending step's input."""
    size = {step.node.name: math.prod(step.node.value.unit_shape) for step in steps if step.node.value}
    live: set[str] = set()
    now = []
    for index, step in enumerate(steps):
        if step.node.name not in prefix:
            live.add(step.node.name)
        reads = {value.name for value in step.node.inputs()}
        now.append(sum(size[name] for name in live | (reads - {graph.input.name})))
        live = {name for name in live if last_read.get(name, -1) > index}
    most, following = [0] * len(steps), 0
    for index in reversed(range(len(steps))):
        following = max(now[index], following)
        most[index] = following
        if not isinstance(steps[index].operation, Affine):
            following = now[index]
    return most
