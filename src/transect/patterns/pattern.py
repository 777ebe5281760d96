"""``Pattern``: which piece of its bending operation every unit is on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from transect.engine.program import Program
from transect.errors import InvalidInput, check_one_of


def planes_for(pieces: int) -> int:
    """Bits that tell so many pieces of a unit apart."""
    return (pieces - 1).bit_length()


def bytes_for(units: int) -> int:
    """Bytes a plane of so many units takes."""
    return -(-units // 8)


def pack(pieces: Tensor, planes: int) -> Tensor:
    """Pieces ``(..., units)`` to bytes ``(..., planes * bytes)``, plane after plane; unit 0 is the lowest bit."""
    padded = functional.pad(pieces, (0, -pieces.shape[-1] % 8)).unflatten(-1, (-1, 8))
    place = torch.arange(8, dtype=torch.uint8, device=pieces.device)
    packed = [(((padded >> plane) & 1).to(torch.uint8) << place).sum(-1, dtype=torch.uint8) for plane in range(planes)]
    return torch.cat(packed, -1) if packed else pieces.new_empty((*pieces.shape[:-1], 0), dtype=torch.uint8)


def unpack(packed: Tensor, planes: int, units: int) -> Tensor:
    """The pieces ``(..., units)`` that :func:`pack` has packed; uint8, or int32 where a unit has more than 256."""
    place = torch.arange(8, dtype=torch.uint8, device=packed.device)
    dtype = torch.uint8 if planes <= 8 else torch.int32
    pieces = torch.zeros((*packed.shape[:-1], units), dtype=dtype, device=packed.device)
    for plane, part in enumerate(packed.unflatten(-1, (planes, bytes_for(units))).unbind(-2) if planes else ()):
        bit = ((part.unsqueeze(-1) >> place) & 1).flatten(-2)[..., :units]
        pieces |= bit.to(dtype) << plane
    return pieces


def differing_units(difference: Tensor, planes: int) -> Tensor:
    """Units that have a bit in any plane of ``(..., planes * bytes)``: their number, ``(...)`` int64."""
    differ = torch.zeros((*difference.shape[:-1], difference.shape[-1] // max(1, planes)), dtype=torch.uint8)
    for plane in difference.unflatten(-1, (planes, -1)).unbind(-2) if planes else ():
        differ = differ | plane
    return _ones(differ).sum(-1, dtype=torch.int64)


def _ones(x: Tensor) -> Tensor:
    """Number of ones in every byte: sums of neighbouring bits, pairs and halves."""
    x = x - ((x >> 1) & 0x55)
    x = (x & 0x33) + ((x >> 2) & 0x33)
    return (x + (x >> 4)) & 0x0F


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
        bits: Tensor = self.bits[..., place].unflatten(-1, (planes, -(-self.layout.units[index] // 8)))
        return bits

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

    def __getitem__(self, index: int | slice | Sequence[int] | Sequence[bool] | Tensor) -> Pattern:
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
