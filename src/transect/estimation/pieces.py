"""Which piece every unit is on at the points sampled, in few bytes, and how many differ between two points.

A doubling needs the pieces at the samples it already has. They are kept, not evaluated again: a unit-wise operation
takes one bit for each of its thresholds (the piece is the number of thresholds a unit is above, so the bits that differ
count the pieces between two points), a window the position of its winner.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transect.regions.signs import above
from transect.rules import Bend, Envelope, Hinge

_GATHER = 0x0102040810204080  # moves the lowest bit of byte k of a word to bit 56 + k; no two of the products meet


def record(bend: Bend, values: Tensor) -> Tensor:
    """Pieces of every unit at rows of the operation's input: packed bits, or positions of winners, ``(R, W)``."""
    if isinstance(bend, Envelope):
        return bend.winners(values).flatten(1).to(torch.int32)
    return torch.cat([_packed(above(bend.flat(values), threshold)) for threshold in _thresholds(bend, values)], 1)


def record_bytes(bend: Bend, units: int) -> int:
    """Bytes of one row of :func:`record`."""
    return 4 * units if isinstance(bend, Envelope) else len(bend.thresholds) * -(-units // 8)


def undecided(bend: Bend, values: Tensor) -> Tensor:
    """Units exactly between two pieces, laid out as :func:`record` does.

    Where a path starts or ends in such a point (an image whose background is exactly zero), the unit is on neither
    piece there; it is on the piece it has at the nearest sample.
    """
    if isinstance(bend, Envelope):
        return _several_largest(bend, values)
    flat = bend.flat(values)
    return torch.cat([~(_packed(above(flat, threshold)) | _packed(above(-flat, -threshold)))
                      for threshold in _thresholds(bend, values)], 1)  # fmt: skip


def changes(bend: Bend, before: Tensor, after: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Net changes of pieces between points, ``(..., W)`` and ``(..., W)`` to ``(...)`` int64.

    Args:
        bend: The operation.
        before: Records at some points.
        after: Records at others.
        ignored: Units left out, as :func:`undecided` gives them.
    """
    if isinstance(bend, Envelope):
        differ = before != after
        return (differ if ignored is None else differ & ~ignored).sum(-1)
    differ = before ^ after
    return _ones(differ if ignored is None else differ & ~ignored).sum(-1, dtype=torch.int64)


def _thresholds(hinge: Hinge, values: Tensor) -> list[float | Tensor]:
    units = values[0].numel()
    return [t.reshape(-1).expand(units) if isinstance(t, Tensor) else t for t in hinge.thresholds]


def _packed(bits: Tensor) -> Tensor:
    """Eight booleans a byte; rows are padded to whole words."""
    return ((bits.view(torch.int64) * _GATHER) >> 56).to(torch.uint8)


def _ones(byte: Tensor) -> Tensor:
    """Number of bits set in every byte: sums of neighbouring bits, of pairs, of fours."""
    byte = byte - ((byte >> 1) & 0x55)
    byte = (byte & 0x33) + ((byte >> 2) & 0x33)
    return (byte + (byte >> 4)) & 0x0F


def _several_largest(envelope: Envelope, values: Tensor) -> Tensor:
    windows = envelope.windows.to(values.device)
    numbers = envelope.arrange(values)[:, :, windows.clamp_min(0)].masked_fill(windows < 0, -torch.inf)
    return ((numbers == numbers.amax(-1, keepdim=True)).sum(-1) > 1).flatten(1)
