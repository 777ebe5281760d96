"""The network as an affine function of its input, its pattern known: values, gradients of many numbers at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transect.engine.program import Program
from transect.patterns.bends import NONE, on_pieces
from transect.patterns.pattern import Pattern
from transect.patterns.points import BUDGET, InputSpace
from transect.rules import Affine, Bend
from transect.support.precision import full_precision


@dataclass(frozen=True)
class Differences:
    """Differences of two numbers each, ``M`` of them: of those a bending operation compares, or of the outputs.

    Attributes:
        bend: Index of the bending operation, or :data:`~transect.patterns.linear.OUTPUT`.
        operation: The bending operation itself, or None for the outputs.
        plus: Index of the first number, :data:`~transect.patterns.bends.NONE` for zero, ``(M,)``.
        minus: Index of the number subtracted, ``(M,)``.
    """

    bend: int
    operation: Bend | None
    plus: Tensor
    minus: Tensor

    @classmethod
    def outputs(cls, chosen: Tensor) -> Differences:
        """Outputs as they are."""
        return cls(OUTPUT, None, chosen, torch.full_like(chosen, NONE))

    def __len__(self) -> int:
        return len(self.plus)

    @full_precision()
    def value(self, program: Program, x: Tensor) -> Tensor:
        """All of them at every row, ``(R, M)``."""
        numbers = self._numbers(program, x)
        return _picked(numbers, self.plus) - _picked(numbers, self.minus)

    @full_precision()
    def gradient(self, linear: Program, space: InputSpace, result: Tensor) -> None:
        """Write the gradients into ``result``, ``(M, inputs)``; ``linear`` is the linear part of the affine network."""
        if len(self) <= math.prod(space.shape):
            for some in _runs(len(self), BUDGET // _elements(linear)):
                result[some] = self._backwards(linear, space, some).flatten(1)
            return
        for some in _runs(math.prod(space.shape), BUDGET // max(linear.row_elements, len(self))):
            result[:, some] = self._forwards(linear, space, some).T

    def _backwards(self, linear: Program, space: InputSpace, some: slice) -> Tensor:
        plus, minus = self.plus[some, None], self.minus[some, None]
        with torch.inference_mode(False), torch.enable_grad():
            x = space.zeros(len(plus)).requires_grad_()
            numbers = self._numbers(linear, x)
            total = (_each(numbers, plus) - _each(numbers, minus)).sum()
            if not total.requires_grad:  # they are constants
                return space.zeros(len(plus))
            return torch.autograd.grad(total, x, materialize_grads=True)[0]

    def _forwards(self, linear: Program, space: InputSpace, some: slice) -> Tensor:
        basis = space.zeros(some.stop - some.start)
        basis.flatten(1).diagonal(some.start).fill_(1)
        with torch.no_grad():
            return self.value(linear, basis)

    def _numbers(self, program: Program, x: Tensor) -> Tensor:
        arrived = reached(program, x, self.bend)
        return arrived.flatten(1) if self.operation is None else self.operation.flat(arrived)


def _picked(numbers: Tensor, index: Tensor) -> Tensor:
    """Some numbers of every row, ``(R, M)``; zero where there is none."""
    return numbers[:, index.clamp_min(0)].masked_fill(index == NONE, 0)


def _each(numbers: Tensor, index: Tensor) -> Tensor:
    """One number of each row, ``(R, 1)``; zero where there is none."""
    return numbers.gather(1, index.clamp_min(0)).masked_fill(index == NONE, 0)


def _runs(count: int, most: int) -> Iterator[slice]:
    step = max(1, most)
    return (slice(low, min(low + step, count)) for low in range(0, count, step))


def _elements(program: Program) -> int:
    """Numbers that a row leaves behind for the way back."""
    return max(1, sum(math.prod(instruction.shape) for instruction in program.instructions))


OUTPUT = -1  # in place of the index of a bending operation


def on_pattern(program: Program, pattern: Pattern, space: InputSpace) -> Program:
    """The program with every bending operation replaced by the affine one that it is on the pattern."""
    fixed = []
    for instruction in program.instructions:
        operation = instruction.operation
        if not isinstance(operation, Affine):
            row = torch.zeros((1, *instruction.shape), dtype=space.dtype, device=space.device)
            operation = on_pieces(operation, pattern.pieces(instruction.bend).to(space.device), row)
        fixed.append(replace(instruction, operation=operation))
    return replace(program, instructions=tuple(fixed))


def linear_part(program: Program) -> Program:
    """An affine program without its constants."""
    operations = [instruction.operation for instruction in program.instructions]
    linear = [Affine(each.linear, each.linear, each.squares) for each in operations if isinstance(each, Affine)]
    return replace(program, instructions=tuple(
        replace(instruction, operation=operation)
        for instruction, operation in zip(program.instructions, linear, strict=True)))  # fmt: skip


def reached(program: Program, x: Tensor, bend: int) -> Tensor:
    """What arrives at a bending operation, ``(R, *shape)``, or the outputs."""
    result = x
    for instruction, operands, made in program.walk(x):
        if bend != OUTPUT and instruction.bend == bend:
            return operands[0]
        result = made
    return result
