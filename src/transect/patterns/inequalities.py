"""The inequalities that bound a linear region."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transect.engine.program import Program
from transect.errors import InvalidInput
from transect.patterns.bends import Borders, borders
from transect.patterns.linear import Differences, linear_part
from transect.patterns.pattern import Pattern
from transect.patterns.points import InputSpace
from transect.rules import Affine, Bend
from transect.support.indices import whole_numbers


@dataclass(frozen=True, eq=False)
class Inequalities:
    """``matrix @ x.flatten() <= bound``, strictly inside the region: ``M`` inequalities over ``D`` inputs, on the CPU.

    Rows of zeros belong to units that nothing in the region moves. Many of the others may follow from one another.

    Attributes:
        matrix: ``(M, D)`` in the network's dtype.
        bound: ``(M,)``.
        operation: Index of the bending operation that each comes from, ``(M,)`` int64.
        unit: Its unit, ``(M,)`` int64.
        piece: The piece the unit is on beyond the border, ``(M,)`` int64.
    """

    matrix: Tensor
    bound: Tensor
    operation: Tensor
    unit: Tensor
    piece: Tensor

    def __len__(self) -> int:
        return len(self.bound)


@dataclass(frozen=True)
class Bounds:
    """What bounds a region, before any coefficient is worked out.

    Attributes:
        space: Input space.
        fixed: The affine program of the region.
        linear: Its linear part.
        parts: Borders at each of the bending operations chosen: its index, the operation, the borders.
    """

    space: InputSpace
    fixed: Program
    linear: Program
    parts: tuple[tuple[int, Bend, Borders], ...]

    @property
    def width(self) -> int:
        """Coefficients an inequality has."""
        return math.prod(self.space.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of the matrix."""
        return self.width * self.space.dtype.itemsize

    def together(self) -> Inequalities:
        """All inequalities, over one matrix."""
        counts = [len(found) for _, _, found in self.parts]
        matrix, none = torch.empty((sum(counts), self.width), dtype=self.space.dtype), torch.empty(0, dtype=torch.int64)
        made = [Inequalities(matrix[:0], matrix.new_empty(0), none, none, none)]  # what an affine network has
        made += [self._make(*part, rows) for part, rows in zip(self.parts, matrix.split(counts), strict=False)]
        columns = ("bound", "operation", "unit", "piece")
        return Inequalities(matrix, *(torch.cat([getattr(part, name) for part in made]) for name in columns))

    def one_by_one(self, most: int) -> Iterator[Inequalities]:
        """At most so many at a time, in order of operation and unit."""
        for bend, operation, found in self.parts:
            for low in range(0, len(found), most):
                some = found.only(slice(low, low + most))
                yield self._make(bend, operation, some, torch.empty((len(some), self.width), dtype=self.space.dtype))

    def _make(self, bend: int, operation: Bend, found: Borders, matrix: Tensor) -> Inequalities:
        differences = Differences(bend, operation, found.plus, found.minus)
        differences.gradient(self.linear, self.space, matrix)
        with torch.no_grad():
            bound = found.limit - differences.value(self.fixed, self.space.zeros(1))[0]
        unit = found.unit.cpu()
        return Inequalities(matrix, bound.cpu(), torch.full_like(unit, bend), unit, found.piece.cpu())


def bounds_of(
    program: Program,
    fixed: Program,
    pattern: Pattern,
    space: InputSpace,
    operations: Sequence[str | int] | str | int | None,
    units: Sequence[int] | None,
) -> Bounds:
    """The borders of some operations, or of all, with the affine program behind them.

    Raises:
        InvalidInput: There is no such operation or unit, or units are chosen of several operations.
    """
    layout = pattern.layout
    given = layout.operations if operations is None else operations
    chosen = {layout.index(name) for name in ([given] if isinstance(given, str | int) else given)}
    if units is not None and len(chosen) != 1:
        raise InvalidInput(
            f"units: expected one operation to choose them of, got {len(chosen)}; name it in operations."
        )
    parts = []
    for instruction in program.instructions:
        if isinstance(operation := instruction.operation, Affine) or instruction.bend not in chosen:
            continue
        row = torch.zeros((1, *instruction.shape), dtype=space.dtype, device=space.device)
        found = borders(operation, pattern.pieces(instruction.bend).to(space.device), row)
        if units is not None:
            wanted = whole_numbers(units, layout.units[instruction.bend], "units")
            found = found.only(torch.isin(found.unit, wanted.to(space.device)))
        parts.append((instruction.bend, operation, found))
    return Bounds(space, fixed, linear_part(fixed), tuple(parts))
