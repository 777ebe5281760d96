"""``Pattern``: which piece of its bending operation every unit is on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.patterns.bits import differing_units, unpack
from transect.patterns.layout import Layout


@dataclass(frozen=True, eq=False, repr=False)
class Pattern:
    """The activation pattern of one point, or one for each of ``N`` points, as packed bits. Tensors lie on the CPU.

    A unit of a unit-wise operation is on the piece whose number is how many thresholds it is above (0 or 1 for a ReLU,
    0 to 2 for a clamp); that of a max-pooling or maximum is the place, within its window, of the number that wins.

    Patterns are values: ``==`` says whether two are the same as a whole, and they can be keys of a dictionary or
    members of a set, where those of different architectures are simply different.

    Attributes:
        layout: Operations, units and pieces it lists.
        bits: uint8, ``(bytes,)`` for one point or ``(N, bytes)``. See :meth:`packed`. Not to be written to.

    Example:
        >>> import torch, transect
        >>> model = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
        >>> with torch.no_grad():
        ...     _ = model[0].weight.fill_(1.0), model[0].bias.copy_(torch.tensor([0.0, -1.0, -2.0]))
        >>> patterns = transect.capture(model, torch.zeros(1)).pattern([[0.5], [1.5], [1.7]])
        >>> patterns.pieces("1").tolist(), patterns.hamming(patterns[0]).tolist(), len(set(patterns))
        ([[1, 0, 0], [1, 1, 0], [1, 1, 0]], [0, 1, 1], 2)
    """

    layout: Layout
    bits: Tensor

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the bending operations."""
        return self.layout.operations

    @property
    def units(self) -> tuple[int, ...]:
        """Number of units of each."""
        return self.layout.units

    def pieces(self, operation: str | int) -> Tensor:
        """Piece of every unit of an operation, ``(units,)`` or ``(N, units)``; uint8, int32 for over 256 pieces.

        Args:
            operation: Its name or its index.

        Raises:
            InvalidInput: There is no such operation.
        """
        index = self.layout.index(operation)
        return unpack(self.bits[..., self.layout.places[index]], self.layout.planes[index], self.layout.units[index])

    def packed(self, operation: str | int) -> Tensor:
        """Bits of an operation, ``(planes, bytes)`` or ``(N, planes, bytes)`` uint8.

        Bit ``unit % 8`` of byte ``unit // 8`` of plane k is bit k of the unit's piece: one plane for a ReLU, two for
        up to four pieces, four for a window of 3x3.

        Args:
            operation: Its name or its index.

        Raises:
            InvalidInput: There is no such operation.
        """
        index = self.layout.index(operation)
        place, planes = self.layout.places[index], self.layout.planes[index]
        return self.bits[..., place].unflatten(-1, (planes, -(-self.layout.units[index] // 8)))

    def equal(self, other: Pattern) -> Tensor:
        """Whether the patterns are equal, point by point, ``()`` or ``(N,)`` bool; one is compared with each of many.

        Raises:
            InvalidInput: They are of networks of different architectures, or of different numbers of points.
        """
        self._check_comparable(other)
        return (self.bits == other.bits).all(-1)

    def hamming(self, other: Pattern) -> Tensor:
        """Number of units on different pieces, point by point, ``()`` or ``(N,)`` int64.

        Args:
            other: As many patterns, or one to compare each with.

        Raises:
            InvalidInput: They are of networks of different architectures, or of different numbers of points.
        """
        return self.hamming_by_operation(other).sum(-1)

    def hamming_by_operation(self, other: Pattern) -> Tensor:
        """The same for every operation on its own, ``(operations,)`` or ``(N, operations)`` int64."""
        self._check_comparable(other)
        difference = self.bits ^ other.bits
        counts = [differing_units(difference[..., place], planes)
                  for place, planes in zip(self.layout.places, self.layout.planes, strict=True)]  # fmt: skip
        return torch.stack(counts, -1) if counts else torch.zeros((*difference.shape[:-1], 0), dtype=torch.int64)

    def unique(self) -> tuple[Pattern, Tensor]:
        """The distinct patterns of many points, in order of first appearance, and which of them each point has.

        Returns:
            The ``M`` distinct patterns, and an index into them for every point, ``(N,)`` int64; its ``bincount`` says
            how many points share each.
        """
        number: dict[bytes, int] = {}
        index = [number.setdefault(row.numpy().tobytes(), len(number)) for row in self._batch()]
        first = {which: point for point, which in reversed(list(enumerate(index)))}
        rows = torch.tensor([first[which] for which in range(len(number))], dtype=torch.int64)
        return Pattern(self.layout, self._batch()[rows]), torch.tensor(index, dtype=torch.int64)

    def __len__(self) -> int:
        if self.bits.dim() == 1:
            raise TypeError("a pattern of one point has no length; network.pattern(batch) gives a pattern a point")
        return len(self.bits)

    def __getitem__(self, index: Any) -> Pattern:
        """The pattern of one point, or those of a slice, list or mask of points."""
        chosen = self._batch()[index]
        if chosen.dim() not in (1, 2) or chosen.shape[-1] != self.layout.size:
            raise InvalidInput(f"index: expected points such as 3, slice(0, 5) or [1, 2], got {index!r}.")
        return Pattern(self.layout, chosen)

    def __iter__(self) -> Iterator[Pattern]:
        return (Pattern(self.layout, row) for row in self._batch())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pattern):
            return NotImplemented
        return self.layout == other.layout and torch.equal(self.bits, other.bits)

    def __hash__(self) -> int:
        return hash((self.layout, self.bits.shape, self.bits.numpy().tobytes()))

    def __repr__(self) -> str:
        points = "one point" if self.bits.dim() == 1 else f"{len(self.bits):,} points"
        return f"Pattern({points}, {len(self.units)} operations with {sum(self.units):,} units)"

    def _batch(self) -> Tensor:
        if self.bits.dim() == 1:
            raise TypeError("a pattern of one point has no points to choose from; network.pattern(batch) gives many")
        return self.bits

    def _check_comparable(self, other: Pattern) -> None:
        if not isinstance(other, Pattern):
            raise InvalidInput(f"pattern: expected a Pattern to compare with, got {type(other).__name__}.")
        self.layout.check_same(other.layout)
        counts = {len(part.bits) for part in (self, other) if part.bits.dim() > 1} - {1}
        if len(counts) > 1:
            raise InvalidInput(
                f"pattern: expected patterns of as many points, or of one, got {len(self.bits)} and {len(other.bits)}; "
                "choose some with patterns[index]."
            )
