"""Whether numbers that floats show exactly at a threshold, or exactly equal, all along an interval truly are.

``(1e-17 x + 1) - 1`` is exactly 0 in floats wherever it is read, and yet it moves. Its derivative shows that: constants
have no part in it, and going backwards coefficients meet before values do. Real zeros have none: windows of dead units,
padding, units less their own copies.

Real zeros abound, so a derivative for each would cost more than the trace. What moves at a few points of the path is
worked out forwards for all numbers together; only numbers that move there while floats do not show it are *suspects*,
and only suspects are looked at on every interval.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.autograd import forward_ad

from transect.engine.program import Program
from transect.engine.rows import Domain
from transect.rules import Affine, Bend, Envelope, Hinge

_SURE = 256.0  # multiples of eps of what it sums, beyond which a derivative along the path is no rounding


@dataclass(frozen=True)
class Movement:
    """Derivatives along the path of numbers that bending operations compare.

    Attributes:
        program: The compiled network.
        domain: Where the network is restricted.
        rows: How many points are looked at together.
        merge: For every bending operation how close to a threshold its numbers are within rounding of it.
        places: A few places of the domain, ``(n, 2)``.
    """

    program: Program
    domain: Domain
    rows: int
    merge: tuple[Tensor, ...]
    places: Tensor

    def suspects(self, bend: int) -> Tensor:
        """Numbers that move at one of a few points, though they are at a threshold there, ``(numbers,)`` bool.

        Or that are exactly equal there to the largest of their window, and move otherwise.
        """
        return self._at_thresholds[bend] if bend in self._at_thresholds else self._in_windows[bend]

    @cached_property
    def _at_thresholds(self) -> dict[int, Tensor]:
        """Whether anything at all that moves enters the numbers: going forwards derivatives cancel as values do."""
        found: dict[int, Tensor] = {}
        for points, along in self._few():
            for bend, operation, z, moving in self._walk(points, (along != 0).double(), _entering):
                if isinstance(operation, Hinge):
                    here = _at_threshold(operation, z, moving, self.merge[bend])
                    found[bend] = found[bend] | here if bend in found else here
        return found

    @cached_property
    def _in_windows(self) -> dict[int, Tensor]:
        found: dict[int, Tensor] = {}
        for points, along in self._few():
            for bend, operation, z, moving in self._walk(points, along, _changes):
                if isinstance(operation, Envelope):
                    here = _tied(operation, z, moving)
                    found[bend] = found[bend] | here if bend in found else here
        return found

    def _few(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The few points, some at a time, and the directions there."""
        for some in self.places.split(self.rows):
            yield self.domain.points(some), self.domain.along(some)

    def moves(self, bend: int, places: Tensor, number: Tensor, other: Tensor | None = None) -> Tensor:
        """Whether each number, or its difference from the other one, has a derivative beyond rounding, ``(n,)``.

        Args:
            bend: Index of the bending operation.
            places: Where: inside regions in which the network is affine up to that operation, ``(n, 2)``.
            number: Index of the number among those that the operation compares, ``(n,)``.
            other: Index of another of them, ``(n,)``.
        """
        looked, index = places.unique(dim=0, return_inverse=True)
        mixture = torch.rand(len(places), generator=torch.Generator().manual_seed(0)).to(places.device) + 0.5
        found = torch.zeros_like(number, dtype=torch.bool)
        for first in range(0, len(looked), self.rows):  # at most places nothing moves: one look at all numbers together
            part = looked[first : first + self.rows]
            here = ((index >= first) & (index < first + self.rows)).nonzero().squeeze(1)
            picked = _Picked(index[here] - first, number[here], None if other is None else other[here], mixture[here])
            found[here] = self._along(bend, part, picked)[1][picked.row] > 0
        for some in found.nonzero().squeeze(1).split(self.rows):
            if len(some):  # the split of nothing is one part
                found[some] = self._sure(bend, places[some], number[some], None if other is None else other[some])
        return found

    def _sure(self, bend: int, places: Tensor, number: Tensor, other: Tensor | None) -> Tensor:
        """The same for one number, or two, a point, each with its own derivative: equal ones differ by rounding."""
        alone = torch.arange(len(places), device=places.device), torch.ones_like(places[:, 0])
        change, size = self._along(bend, places, _Picked(alone[0], number, None, alone[1]))
        if other is not None:
            of_other, its_size = self._along(bend, places, _Picked(alone[0], other, None, alone[1]))
            change, size = change - of_other, size + its_size
        return change.abs() > _SURE * torch.finfo(self.domain.points(places[:1]).dtype).eps * size

    def _along(self, bend: int, places: Tensor, picked: _Picked) -> tuple[Tensor, Tensor]:
        """Change along the domain of the numbers picked at every point, and the sum of the sizes of its parts."""
        gradient = self._gradient(bend, self.domain.points(places), picked)
        part = gradient.double() * self.domain.along(places).double()
        return part.flatten(1).sum(1), part.abs().flatten(1).sum(1)

    def _gradient(self, bend: int, points: Tensor, picked: _Picked) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            seed = torch.zeros_like(points).requires_grad_()
            for at, operation, _, moving in self._walk(points, seed, _changes):
                if at == bend:
                    total = picked.total(operation.flat(moving))
                    constant = not total.requires_grad
                    return seed.detach() if constant else torch.autograd.grad(total, seed, materialize_grads=True)[0]
        raise AssertionError(f"there is no bending operation {bend}")

    def _walk(
        self, points: Tensor, moving: Tensor, through: Callable[..., Tensor]
    ) -> Iterator[tuple[int, Bend, Tensor, Tensor]]:
        """Every bending operation with what it reads at some points, and how that moves with them."""
        values, movements = {self.program.input: points}, {self.program.input: moving}
        for instruction in self.program.instructions:
            operation, slot = instruction.operation, instruction.writes
            operands, moved = ([known[read] for read in instruction.reads] for known in (values, movements))
            if isinstance(operation, Affine):
                with torch.no_grad():
                    values[slot] = operation.value(*operands)
                movements[slot] = through(operation, *moved)
            else:
                yield instruction.bend, operation, operands[0], moved[0]
                values[slot], movements[slot] = _bent(operation, operands[0], moved[0])
            for name in instruction.frees:
                values.pop(name, None)
                movements.pop(name, None)


@dataclass(frozen=True)
class _Picked:
    """Numbers, or differences of two, of some rows, added up with weights."""

    row: Tensor
    number: Tensor
    other: Tensor | None
    weight: Tensor

    def total(self, numbers: Tensor) -> Tensor:
        picked = numbers[self.row, self.number]
        if self.other is not None:
            picked = picked - numbers[self.row, self.other]
        return (picked * self.weight.to(picked.dtype)).sum()


def _changes(operation: Affine, *moving: Tensor) -> Tensor:
    return operation.linear(*moving)


def _entering(operation: Affine, *moving: Tensor) -> Tensor:
    """Not zero where an operand that moves has a coefficient that is not zero."""
    return operation.squares(*((part != 0).double() for part in moving))


def _bent(bend: Bend, z: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """A bending operation at ``z``, and its derivative there applied to ``moving``."""
    if isinstance(bend, Envelope):
        with torch.no_grad():
            made, winner = bend.apply(z.clone()), bend.winners(z)
        return made, bend.arrange(moving).gather(2, winner).reshape(made.shape)
    _load_forward_mode()
    with torch.inference_mode(False), torch.no_grad(), forward_ad.dual_level():
        made, slope = forward_ad.unpack_dual(bend.apply(forward_ad.make_dual(z.clone(), torch.ones_like(z))))
    return made, torch.zeros_like(moving) if slope is None else moving * slope


@cache
def _load_forward_mode() -> None:
    """Have PyTorch compile what it compiles when forward mode is first used, and warns of doing: not our words."""
    with warnings.catch_warnings(), torch.inference_mode(False), forward_ad.dual_level():
        warnings.simplefilter("ignore", FutureWarning)
        forward_ad.make_dual(torch.zeros(1), torch.ones(1))


def _at_threshold(hinge: Hinge, z: Tensor, moving: Tensor, merge: Tensor) -> Tensor:
    """Units that are at a threshold in some row, or within rounding below it, and move, ``(units,)``."""
    below = [hinge.flat((threshold - z).double()) for threshold in hinge.thresholds]
    near = torch.stack([(gap >= 0) & (gap <= merge) for gap in below]).any(0)
    return (near & (hinge.flat(moving) != 0)).any(0)


def _tied(envelope: Envelope, z: Tensor, moving: Tensor) -> Tensor:
    """Numbers that in some row are equal to another that wins, or win so, and move otherwise, ``(numbers,)``."""
    numbers, changes = envelope.arrange(z), envelope.arrange(moving)
    winner = envelope.winners(z)
    largest, change = numbers.gather(2, winner), changes.gather(2, winner)
    found = torch.zeros_like(numbers[0], dtype=torch.bool)
    for place in envelope.windows.to(z.device).unbind(1):
        at = place.clamp_min(0)
        tied = (numbers[:, :, at] == largest) & (changes[:, :, at] != change) & (place >= 0)
        row, channel, window = tied.nonzero(as_tuple=True)
        found[channel, at[window]] = True
        found[channel, winner[row, channel, window]] = True
    return found.flatten()
