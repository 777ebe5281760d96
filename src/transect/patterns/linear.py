"""The affine network that a pattern leaves: every bending operation on its pieces, wherever the input is."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from transect.patterns.bends import on_pieces
from transect.patterns.pattern import Pattern
from transect.patterns.points import InputSpace
from transect.regions.program import Program
from transect.rules import Affine

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
