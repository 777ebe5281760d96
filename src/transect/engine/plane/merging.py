"""Places along edges and chords that rounding cannot tell apart become one, as knots along a line do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from transect.engine.bending import merge
from transect.engine.crossings import Crossings
from transect.engine.plane.mesh import Bools, Floats, Ints


class Along(NamedTuple):
    """Places, ordered by (row, weight): ``C`` of them.

    Attributes:
        row: Edge or chord, ``(C,)``.
        weight: Position along it, ``(C,)``.
        error: Bound on its error, ``(C,)``.
    """

    row: Ints
    weight: Floats
    error: Floats


class Merged(NamedTuple):
    """Places told apart: ``N`` of them, ordered by (row, weight).

    Attributes:
        row: Edge or chord, ``(N,)``.
        weight: Position, that of the surest member, ``(N,)``.
        error: Bound on its distance from where any member truly is, ``(N,)``.
        group: For every place given, which of them it belongs to, ``(C,)``.
        doubtful: Places given whose order is not decided.
    """

    row: Ints
    weight: Floats
    error: Floats
    group: Ints
    doubtful: Ints


def merge_along(places: Along, together: Bools | None = None) -> Merged:
    """Make one of places within their errors of one another.

    Args:
        places: The places.
        together: Places that are one with the one before whatever their errors, ``(C,)``.
    """
    row, weight, error = places
    nothing = np.zeros(0, np.int64)
    apart = (row[1:] != row[:-1]) | (weight[1:] - weight[:-1] > error[1:] + error[:-1])
    if together is not None and together.any():
        gap = np.maximum(weight[1:] - weight[:-1], 0)
        error = error.copy()
        joined = np.flatnonzero(together[1:])
        for side in (joined, joined + 1):
            error[side] = np.maximum(error[side], gap[joined])
        apart &= ~together[1:]
    if apart.all():
        return Merged(row, weight, error, np.arange(len(row)), nothing)
    parts = [torch.from_numpy(np.ascontiguousarray(part)) for part in (row, weight, error)]
    none = torch.zeros(len(row), dtype=torch.float64)
    numbers = torch.arange(len(row))
    found = merge(Crossings(none, parts[0], numbers, parts[1], none, parts[2], none > 0))
    group = found.group.numpy()
    doubtful = [doubt.unit.numpy() for doubt in found.doubts]
    return Merged(
        found.row.numpy(), found.weight.numpy(), found.error.numpy(), group, np.concatenate([nothing, *doubtful])
    )
