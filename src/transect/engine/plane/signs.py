"""On which side of its thresholds every unit is at every vertex, as bits, and what follows at edges and corners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transect.engine.plane.mesh import Bools, Floats, Ints, Mesh
from transect.rules import Hinge
from transect.rules.base import as_held

Words = NDArray[np.uint64]
_WORD = 64


class Places(NamedTuple):
    """Rows (vertices, edges, corners or polygons) and columns, one entry each, ordered by (row, column)."""

    row: Ints
    column: Ints


def packed(mask: Bools) -> Words:
    """Truth values as bits, ``(n, columns)`` to ``(n, words)``."""
    rows, columns = mask.shape
    out = np.zeros((rows, -(-columns // _WORD) * 8), np.uint8)
    bits = np.packbits(mask, axis=1, bitorder="little")
    out[:, : bits.shape[1]] = bits
    return out.view(np.uint64)


def listed(words: Words) -> Places:
    """Where the bits are set."""
    row, word = np.nonzero(words)
    bits = np.unpackbits(words[row, word].view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    found, bit = np.nonzero(bits)
    return Places(row[found], word[found] * _WORD + bit)


def any_of(words: Words, start: Ints) -> Words:
    """For rows that belong together, one group after the other, which bits are set in any."""
    return np.bitwise_or.reduceat(words, start[:-1], axis=0)


@dataclass(frozen=True)
class Thresholds:
    """Every (threshold, unit) is a column; those of one threshold start at a whole word.

    Attributes:
        limits: The thresholds: numbers, or one number a unit.
        units: Number of units.
    """

    limits: Sequence[float | Tensor]
    units: int

    @classmethod
    def of_hinge(cls, hinge: Hinge, units: int) -> Thresholds:
        """Those of a unit-wise operation."""
        limits = [t.reshape(-1).expand(units) if isinstance(t, Tensor) else float(t) for t in hinge.thresholds]
        return cls(limits, units)

    @property
    def stride(self) -> int:
        """Columns from one threshold to the next."""
        return -(-self.units // _WORD) * _WORD

    def split(self, column: Ints) -> tuple[Ints, Ints]:
        """Threshold and unit of columns."""
        return np.divmod(column, self.stride)

    def of(self, column: Ints) -> Floats:
        """The number that each column is compared with."""
        which, unit = self.split(column)
        found = np.zeros(len(column))
        for index, limit in enumerate(self.limits):
            here = which == index
            if isinstance(limit, Tensor):
                found[here] = limit.double().cpu().numpy()[unit[here]]
            else:
                found[here] = limit
        return found

    def distances(self, z: Tensor, row: Ints, column: Ints) -> Floats:
        """Values less their thresholds, float64."""
        return taken(z, row, self.split(column)[1]) - self.of(column)

    def put(self, z: Tensor, row: Ints, column: Ints) -> None:
        """Set values to their thresholds exactly."""
        if len(row) == 0:
            return
        which, unit = self.split(column)
        for index, limit in enumerate(self.limits):
            here = np.flatnonzero(which == index)
            at = torch.from_numpy(row[here]).to(z.device), torch.from_numpy(unit[here]).to(z.device)
            z[at] = limit.to(z.dtype)[at[1]] if isinstance(limit, Tensor) else limit


def taken(z: Tensor, row: Ints, unit: Ints) -> Floats:
    """Single numbers of ``(rows, units)`` in float64."""
    if z.device.type == "cpu":
        return z.numpy().reshape(-1)[row * z.shape[1] + unit].astype(np.float64)
    index = torch.from_numpy(row * z.shape[1] + unit).to(z.device)
    return z.reshape(-1)[index].double().cpu().numpy()


@dataclass
class Signs:
    """Which values are above their thresholds and which below, ``(V, words)`` each; neither: exactly at it.

    Attributes:
        above: Above it.
        below: Below it.
        near: Whether any value is so close to a threshold that rounding may matter.
    """

    above: Words
    below: Words
    near: bool

    @classmethod
    def of(cls, z: Tensor, thresholds: Thresholds, most: float) -> Signs:
        """Compare ``(V, units)`` with all thresholds; no unit's rounding reaches further than ``most``."""
        parts = [_compared(z, limit, most) for limit in thresholds.limits]
        above, below, near = zip(*parts, strict=True)
        return cls(np.concatenate(above, axis=1), np.concatenate(below, axis=1), any(near))

    @property
    def at(self) -> Words:
        """Exactly at the threshold; bits beyond the last unit are set, too."""
        return ~(self.above | self.below)

    def clear(self, row: Ints, column: Ints) -> None:
        """Say that these are exactly at their thresholds."""
        word, keep = column // _WORD, ~(np.uint64(1) << (column % _WORD).astype(np.uint64))
        for words in (self.above, self.below):
            np.bitwise_and.at(words, (row, word), keep)

    def crossing(self, mesh: Mesh) -> Places:
        """Edges whose ends are on two sides strictly, and columns."""
        low, high = mesh.edges.low, mesh.edges.high
        return listed((self.above[low] & self.below[high]) | (self.below[low] & self.above[high]))


def _compared(z: Tensor, limit: float | Tensor, most: float) -> tuple[Words, Words, bool]:
    if isinstance(limit, float):
        beyond, near = as_held(limit + most, z.dtype), as_held(limit - most, z.dtype)
        above, not_below = _bits(z, np.greater, beyond), _bits(z, np.greater_equal, near)
        if np.array_equal(above, not_below):
            inside = packed(np.ones((1, z.shape[1]), bool))
            return above, ~above & inside, False
    return _bits(z, np.greater, limit), _bits(z, np.less, limit), True


def _bits(z: Tensor, compare: np.ufunc, limit: float | Tensor) -> Words:
    if z.device.type == "cpu":
        return packed(compare(z.numpy(), limit.numpy() if isinstance(limit, Tensor) else limit))
    function = torch.gt if compare is np.greater else torch.ge if compare is np.greater_equal else torch.lt
    return packed(function(z, limit).cpu().numpy())
