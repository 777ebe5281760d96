"""Where the bits of a pattern are: bending operation after bending operation, plane after plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from transect.errors import InvalidInput, check_one_of
from transect.patterns.bits import bytes_for, pack, planes_for
from transect.regions.program import Program


@dataclass(frozen=True)
class Layout:
    """What a pattern lists; equal for networks of the same architecture.

    Attributes:
        operations: Names of the bending operations.
        units: Number of units of each.
        pieces: Number of pieces of a unit of each.
    """

    operations: tuple[str, ...]
    units: tuple[int, ...]
    pieces: tuple[int, ...]

    @classmethod
    def of(cls, program: Program) -> Layout:
        """The layout of a program's patterns."""
        return cls(program.bends, program.units, program.pieces)

    @cached_property
    def planes(self) -> tuple[int, ...]:
        """Bits a unit of each operation takes."""
        return tuple(map(planes_for, self.pieces))

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Bytes of each operation."""
        ends = [0]
        for planes, units in zip(self.planes, self.units, strict=True):
            ends.append(ends[-1] + planes * bytes_for(units))
        return tuple(map(slice, ends[:-1], ends[1:]))

    @property
    def size(self) -> int:
        """Bytes of one pattern."""
        return self.places[-1].stop if self.places else 0

    def pack(self, pieces: Sequence[Tensor]) -> Tensor:
        """The bits of patterns, ``(..., size)``, from the pieces of every operation, ``(..., units)`` each."""
        return torch.cat([self.pack_one(index, part) for index, part in enumerate(pieces)], -1)

    def pack_one(self, operation: int, pieces: Tensor) -> Tensor:
        """The same of one operation."""
        return pack(pieces, self.planes[operation])

    def index(self, operation: str | int) -> int:
        """Index of an operation given by name or by index (from the end where negative).

        Raises:
            InvalidInput: There is no such operation.
        """
        count = len(self.operations)
        if isinstance(operation, int) and -count <= operation < count:
            return operation % count
        if not count:
            raise InvalidInput(f"operation: the network is affine, and has no operation that bends; got {operation!r}.")
        check_one_of("operation", operation, self.operations, ", or its index")
        return self.operations.index(str(operation))

    def check_same(self, other: Layout) -> None:
        """Hold that two patterns list the same units.

        Raises:
            InvalidInput: They do not, and so cannot be compared.
        """
        if self != other:
            raise InvalidInput(
                "pattern: expected two patterns of networks of the same architecture, got one over "
                f"{self.describe()} and one over {other.describe()}; compare patterns of one network, or of copies of "
                "it with other weights."
            )

    def describe(self) -> str:
        """Its operations in words."""
        listed = [f"{name} ({units:,} units of {pieces} pieces)" for name, units, pieces
                  in zip(self.operations, self.units, self.pieces, strict=True)]  # fmt: skip
        shown = ", ".join(listed[:4]) + (f" and {len(listed) - 4} more operations" if len(listed) > 4 else "")
        return shown or "no bending operation"
