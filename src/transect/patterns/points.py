"""Points of a network's input space, and the patterns there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.graph import as_batch
from transect.patterns.bends import pieces_at
from transect.patterns.layout import Layout
from transect.patterns.pattern import Pattern
from transect.precision import full_precision
from transect.regions.program import Program
from transect.rules import Affine

BUDGET = 2_000_000  # numbers the rows of one pass may keep alive


@dataclass(frozen=True)
class InputSpace:
    """Where inputs live.

    Attributes:
        shape: Shape of one input.
        dtype: Working dtype.
        device: Device the network works on.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def rows(self, x: Any, argument: str = "x") -> tuple[Tensor, bool]:
        """Inputs as rows ``(N, *shape)``, and whether it is a batch of them that was given.

        Raises:
            InvalidInput: They are neither one input nor a batch of inputs, or not finite.
        """
        given, is_batch = as_batch(x, self.shape, argument)
        rows = given.to(device=self.device, dtype=self.dtype)
        if not bool(rows.isfinite().all()):
            raise InvalidInput(f"{argument}: expected finite values, but it contains NaN or infinity.")
        return rows, is_batch

    def zeros(self, rows: int) -> Tensor:
        """Inputs that are zero, ``(rows, *shape)``."""
        return torch.zeros((rows, *self.shape), dtype=self.dtype, device=self.device)


def pattern_at(program: Program, space: InputSpace, x: Any) -> Pattern:
    """The pattern at one input, or at every input of a batch.

    Raises:
        InvalidInput: See :meth:`InputSpace.rows`.
    """
    rows, batch = space.rows(x)
    layout, most = Layout.of(program), max(1, BUDGET // program.row_elements)
    bits = torch.zeros((len(rows), layout.size), dtype=torch.uint8)
    with torch.no_grad(), full_precision():
        for low in range(0, len(rows), most):
            bits[low : low + most] = _bits(program, layout, rows[low : low + most])
    return Pattern(layout, bits if batch else bits[0])


def _bits(program: Program, layout: Layout, rows: Tensor) -> Tensor:
    """Bits of the patterns at these rows, packed one operation after the other while the values pass by."""
    found = [
        layout.pack_one(instruction.bend, pieces_at(instruction.operation, operands[0])).cpu()
        for instruction, operands, _ in program.walk(rows)
        if not isinstance(instruction.operation, Affine)
    ]
    return torch.cat([rows.new_zeros((len(rows), 0), dtype=torch.uint8).cpu(), *found], 1)
