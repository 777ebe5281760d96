"""Patterns at points of a network's input space, and along a segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from transect.engine.program import Program
from transect.engine.rows import Flips
from transect.errors import InvalidInput
from transect.graph import as_batch
from transect.patterns.bends import pieces_at
from transect.patterns.pattern import Layout, Pattern, bytes_for
from transect.rules import Affine
from transect.support.precision import full_precision
from transect.support.types import TensorLike

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

    def rows(self, x: TensorLike, argument: str = "x") -> tuple[Tensor, bool]:
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


def pattern_at(program: Program, space: InputSpace, x: TensorLike) -> Pattern:
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


def pattern_after(layout: Layout, start: Sequence[Tensor], flips: Flips, knot: int) -> Pattern:
    """The pattern on the interval right of a knot, from the pieces right of the first knot."""
    bits, many = layout.pack(start), int(torch.searchsorted(flips.knot, knot, right=True))
    place, inverted = _inversions(layout, flips, slice(0, many))
    np.bitwise_xor.at(bits.numpy(), place, inverted)
    return Pattern(layout, bits)


def patterns_along(layout: Layout, start: Sequence[Tensor], flips: Flips, knots: int) -> Iterator[Pattern]:
    """The patterns on all intervals between so many knots, in order."""
    bits, borders = layout.pack(start), torch.searchsorted(flips.knot, torch.arange(1, knots)).tolist()
    place, inverted = _inversions(layout, flips, slice(None))
    yield Pattern(layout, bits)
    for low, high in pairwise(borders):
        bits = bits.clone()
        np.bitwise_xor.at(bits.numpy(), place[low:high], inverted[low:high])
        yield Pattern(layout, bits)


def _inversions(layout: Layout, flips: Flips, some: slice) -> tuple[np.ndarray, np.ndarray]:
    """Bytes that flips touch, and the bits they invert there, ``(flips, planes)`` each."""
    start = torch.tensor([place.start for place in layout.places], dtype=torch.int64)
    width = torch.tensor([bytes_for(units) for units in layout.units], dtype=torch.int64)
    operation, unit = flips.operation[some].unsqueeze(1), flips.unit[some].unsqueeze(1)
    plane = torch.arange(max(layout.planes, default=0))
    inverted = (((flips.before ^ flips.after)[some].unsqueeze(1) >> plane) & 1) << unit % 8
    place = start[operation] + plane * width[operation] + unit // 8
    place = place.masked_fill(inverted == 0, 0)  # a plane that the operation need not have
    return place.numpy(), inverted.to(torch.uint8).numpy()
