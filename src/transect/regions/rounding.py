"""How far rounding moves the values a bending operation compares.

A worst-case bound grows by the square root of the fan-in at every layer and is useless after five. Rounding errors are
independent to a good approximation (Higham & Mary, SIAM J. Sci. Comput. 2019), so their *variances* are carried through
the network instead, in units of eps^2: every affine operation passes on the variance of its operands with squared
coefficients and adds its own, ``z^2 + sum w^2 x^2`` up to a constant. The result is one standard deviation a unit, and
follows any rescaling of the units.

It is worked out once for a pack, with the largest values seen at a few points of it, and again at single knots, with
the values there, wherever the first says that rounding may decide something (:class:`RoundingNearby`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from transect.regions.program import Instruction, Program
from transect.regions.rows import Line
from transect.rules import Affine

_LOCAL = 4.0  # each operation's own variance, in units of eps^2 and of the squares it sums


@dataclass(frozen=True)
class Tolerance:
    """How far a unit's value must be from its threshold to be told from it.

    Attributes:
        merge: Values closer to their threshold than this, at a knot, are set to it, ``(units,)`` float64. It holds
            all along the segments, for the largest values there.
        stated: What positions are stated with, as a multiple of ``merge``.
        nearby: The same distance for single units at single points, from the values there: segments, positions and
            units, each ``(n,)``, to ``(n,)`` float64.
    """

    merge: Tensor
    stated: float
    nearby: Callable[[Tensor, Tensor, Tensor], Tensor]


_CERTAIN = 16.0  # standard deviations beyond which a difference is none of rounding's
_STATED = 32.0  # standard deviations: the bound with which positions are stated
# float32 crossings are dense compared with their rounding, so merging at a safe distance would lose regions: the fast
# mode merges only what is equal to a few units in the last place, and states its positions' errors as carefully.
_MERGED = {torch.float64: _CERTAIN, torch.float32: 1 / 256}


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the rounding errors along a pack of segments.

    Attributes:
        bends: For every bending operation those of its units, ``(units,)`` float64.
        outputs: Those of the outputs, ``(outputs,)`` float64.
    """

    bends: tuple[Tensor, ...]
    outputs: Tensor


def spread_along(program: Program, points: Tensor) -> Spread:
    """Standard deviations from a plain evaluation at a few points, with the largest squares over all of them.

    Args:
        program: The compiled network.
        points: Points of the path, ``(N, *input_shape)``; the more of the path they show the better, a few dozen do.
    """
    variance = {program.input: _peak(points)}
    bends = []
    for instruction, operands, result in program.walk(points):
        before = [variance[slot] for slot in instruction.reads]
        if isinstance(instruction.operation, Affine):
            variance[instruction.writes] = _affine_variance(instruction.operation, before, operands, result, _peak)
        else:
            bends.append(_deviation(instruction.operation.flat(before[0]), points.dtype).reshape(-1))
            variance[instruction.writes] = instruction.operation.variance(before[0])
    return Spread(tuple(bends), _deviation(variance[program.output], points.dtype).reshape(-1))


def tolerances(spread: Spread, nearby: RoundingNearby, dtype: torch.dtype) -> tuple[Tolerance, ...]:
    """One tolerance for every bending operation."""
    merged = _MERGED[dtype]
    return tuple(
        Tolerance(merged * deviation, _STATED / merged, partial(nearby.merge, bend))
        for bend, deviation in enumerate(spread.bends)
    )


@dataclass(frozen=True)
class RoundingNearby:
    """Rounding of single units at single points of the path, from the values at these points.

    Where a unit spans many orders of magnitude on one segment, what is rounding beside its largest value can be a true
    value where it is small.

    Attributes:
        program: The compiled network.
        line: The segments in the input space.
        rows: How many points are looked at together.
    """

    program: Program
    line: Line
    rows: int

    def merge(self, bend: int, segment: Tensor, t: Tensor, unit: Tensor) -> Tensor:
        """How close to their threshold units of a bending operation merge with it, ``(n,)``."""
        places, index = torch.stack([segment.double(), t], 1).unique(dim=0, return_inverse=True)
        found = torch.empty_like(t)
        for first in range(0, len(places), self.rows):
            here = (index >= first) & (index < first + self.rows)
            part = places[first : first + self.rows]
            deviation = self._deviations(bend, part[:, 0].long(), part[:, 1])
            found[here] = deviation[index[here] - first, unit[here]]
        return _MERGED[self.line.start.dtype] * found

    def _deviations(self, bend: int, segment: Tensor, t: Tensor) -> Tensor:
        """Standard deviations of all units of a bending operation at some points, ``(n, units)``."""
        points = torch.cat([self.line.at(segment, place) for place in (t, torch.zeros_like(t), torch.ones_like(t))])
        rows, name = len(t), self.program.input
        values, variance = {name: points}, {name: _of_both_ends(points)}
        for instruction in self.program.instructions:
            before = [variance[slot] for slot in instruction.reads]
            if instruction.bend == bend:
                assert not isinstance(instruction.operation, Affine)
                return _deviation(instruction.operation.flat(before[0]), points.dtype)
            operands = [values[slot] if instruction.in_prefix else values[slot][:rows] for slot in instruction.reads]
            self._step(instruction, operands, before, values, variance)
        raise AssertionError(f"there is no bending operation {bend}")

    def _step(
        self,
        instruction: Instruction,
        operands: list[Tensor],
        before: list[Tensor],
        values: dict[str, Tensor],
        variance: dict[str, Tensor],
    ) -> None:
        operation, slot = instruction.operation, instruction.writes
        if isinstance(operation, Affine):
            values[slot] = operation.value(*operands)
            squares = _of_both_ends if instruction.in_prefix else torch.square
            variance[slot] = _affine_variance(operation, before, operands, values[slot], squares)
        else:
            z = operands[0]
            values[slot], variance[slot] = operation.apply(z.clone()), operation.variance(before[0])
            margin = (_CERTAIN * _deviation(before[0], z.dtype)).to(z.dtype)
            low, high = operation.apply(z - margin), operation.apply(z + margin)
            flat = (low == values[slot]) & (high == values[slot])  # a dead unit hides its errors
            variance[slot] = variance[slot].masked_fill(flat, 0)
        for name in instruction.frees:
            values.pop(name, None)
            variance.pop(name, None)


def _affine_variance(
    operation: Affine,
    before: list[Tensor],
    operands: tuple[Tensor, ...] | list[Tensor],
    result: Tensor,
    squares: Callable[[Tensor], Tensor],
) -> Tensor:
    own = operation.squares(*(squares(x) for x in operands)) + squares(result)
    return operation.squares(*before) + _LOCAL * own


def _peak(x: Tensor) -> Tensor:
    """Largest square over the rows, as one row."""
    return x.square().amax(0, keepdim=True)


def _of_both_ends(x: Tensor) -> Tensor:
    """Largest square of a point and the ends of its segment: values on a line are interpolated between the ends."""
    return x.square().unflatten(0, (3, -1)).amax(0)


def _deviation(variance: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.finfo(dtype).eps * variance.double().sqrt()
