"""How far rounding moves the values a bending operation compares.

A worst-case bound grows by the square root of the fan-in at every layer and is useless after five. Rounding errors are
independent to a good approximation (Higham & Mary, SIAM J. Sci. Comput. 2019), so their *variances* are carried through
the network instead, in units of eps^2: every affine operation passes on the variance of its operands with squared
coefficients and adds its own, ``max z^2 + sum w^2 max x^2`` up to a constant, with the maxima taken over points of the
path. The result is one standard deviation a unit, and follows any rescaling of the units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transect.regions.program import Program
from transect.rules import Affine

_LOCAL = 4.0  # each operation's own variance, in units of eps^2 and of the squares it sums


@dataclass(frozen=True)
class Tolerance:
    """How far a unit's value must be from its threshold to be told from it.

    Attributes:
        merge: Values closer to their threshold than this, at a knot, are set to it, ``(units,)`` float64.
        stated: What positions are stated with, as a multiple of ``merge``.
    """

    merge: Tensor
    stated: float


_STATED = 32.0  # standard deviations: the bound with which positions are stated
# float32 crossings are dense compared with their rounding, so merging at a safe distance would lose regions: the fast
# mode merges only what is equal to a few units in the last place, and states its positions' errors as carefully.
_MERGED = {torch.float64: 16.0, torch.float32: 1 / 256}


def tolerances(program: Program, points: Tensor) -> tuple[Tolerance, ...]:
    """One tolerance for every bending operation, from a plain evaluation at a few points of the path.

    Args:
        program: The compiled network.
        points: Points of the path, ``(N, *input_shape)``; the more of the path they show the better, a few dozen do.
    """
    variance: dict[str, Tensor] = {program.input: _peak(points)}
    found = []
    for instruction, operands, result in program.walk(points):
        spread = [variance[slot] for slot in instruction.reads]
        if isinstance(instruction.operation, Affine):
            squares = instruction.operation.squares
            local = squares(*(_peak(x) for x in operands)) + _peak(result)
            variance[instruction.writes] = squares(*spread) + _LOCAL * local
        else:
            found.append(_tolerance(spread[0], points.dtype))
            variance[instruction.writes] = spread[0]
    return tuple(found)


def _peak(x: Tensor) -> Tensor:
    """Largest square over the rows, as one row."""
    return x.square().amax(0, keepdim=True)


def _tolerance(variance: Tensor, dtype: torch.dtype) -> Tolerance:
    deviation = torch.finfo(dtype).eps * variance.double().sqrt().reshape(-1)
    return Tolerance(_MERGED[dtype] * deviation, _STATED / _MERGED[dtype])
