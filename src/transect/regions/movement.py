"""Whether numbers that floats show exactly at a threshold, or exactly equal, all along an interval truly are.

``(1e-17 x + 1) - 1`` is exactly 0 in floats wherever it is read, and yet it moves. Its derivative shows that: constants
have no part in it, and going backwards coefficients meet before values do. Real zeros have none: windows of dead units,
padding, units less their own copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transect.regions.program import Program
from transect.regions.rows import Line
from transect.rules import Affine, Bend, Envelope

_SURE = 256.0  # multiples of eps of what it sums, beyond which a derivative along the path is no rounding


@dataclass(frozen=True)
class Movement:
    """Derivatives of single numbers that bending operations compare, at single points of the path, along it.

    Attributes:
        program: The compiled network.
        line: The segments in the input space.
        rows: How many points are looked at together.
    """

    program: Program
    line: Line
    rows: int

    def moves(self, bend: int, segment: Tensor, t: Tensor, number: Tensor, other: Tensor | None = None) -> Tensor:
        """Whether each number, or its difference from the other one, has a derivative beyond rounding, ``(n,)``.

        Args:
            bend: Index of the bending operation.
            segment: Where: segments, ``(n,)``, and
            t: positions inside intervals on which the network is affine up to that operation, ``(n,)``.
            number: Index of the number among those that the operation compares, ``(n,)``.
            other: Index of another of them, ``(n,)``.
        """
        places, index = torch.stack([segment.double(), t], 1).unique(dim=0, return_inverse=True)
        mixture = torch.rand(len(t), generator=torch.Generator().manual_seed(0)).to(t.device) + 0.5
        found = torch.zeros_like(number, dtype=torch.bool)
        for first in range(0, len(places), self.rows):  # at most places nothing moves: one look at all numbers together
            part = places[first : first + self.rows]
            here = ((index >= first) & (index < first + self.rows)).nonzero().squeeze(1)
            picked = _Picked(index[here] - first, number[here], None if other is None else other[here], mixture[here])
            found[here] = self._along(bend, part[:, 0].long(), part[:, 1], picked)[1][picked.row] > 0
        if not bool(found.any()):
            return found
        for some in found.nonzero().squeeze(1).split(self.rows):
            alone = torch.arange(len(some), device=t.device), number[some], None if other is None else other[some]
            change, size = self._along(bend, segment[some], t[some], _Picked(*alone, torch.ones_like(mixture[some])))
            found[some] = change.abs() > _SURE * torch.finfo(self.line.start.dtype).eps * size
        return found

    def _along(self, bend: int, segment: Tensor, t: Tensor, picked: _Picked) -> tuple[Tensor, Tensor]:
        """Change along the path of the numbers picked at every point, and the sum of the sizes of its parts."""
        part = self._gradient(bend, self.line.at(segment, t), picked).double() * self.line.direction[segment].double()
        return part.flatten(1).sum(1), part.abs().flatten(1).sum(1)

    def _gradient(self, bend: int, points: Tensor, picked: _Picked) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            seed = torch.zeros_like(points).requires_grad_()
            values, linear = {self.program.input: points}, {self.program.input: seed}
            for instruction in self.program.instructions:
                operation, slot = instruction.operation, instruction.writes
                operands, moving = ([known[read] for read in instruction.reads] for known in (values, linear))
                if instruction.bend == bend:
                    assert not isinstance(operation, Affine)
                    total = picked.total(operation.flat(moving[0]))
                    constant = not total.requires_grad
                    return (
                        torch.zeros_like(seed)
                        if constant
                        else torch.autograd.grad(total, seed, materialize_grads=True)[0]
                    )
                if isinstance(operation, Affine):
                    with torch.no_grad():
                        values[slot] = operation.value(*operands)
                    linear[slot] = operation.linear(*moving)
                else:
                    values[slot], linear[slot] = _bent(operation, operands[0], moving[0])
                for name in instruction.frees:
                    values.pop(name, None)
                    linear.pop(name, None)
        raise AssertionError(f"there is no bending operation {bend}")


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


def _bent(bend: Bend, z: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """A bending operation at ``z``, and its derivative there applied to ``moving``."""
    if isinstance(bend, Envelope):
        with torch.no_grad():
            made, winner = bend.apply(z.clone()), bend.winners(z)
        return made, bend.arrange(moving).gather(2, winner).reshape(made.shape)
    x = z.clone().requires_grad_()
    made = bend.apply(x.clone())
    (slope,) = torch.autograd.grad(made.sum(), x)
    return made.detach(), moving * slope
