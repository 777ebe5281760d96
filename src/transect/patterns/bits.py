"""Pieces as bits: a unit of an operation with up to ``2 ** planes`` pieces has one bit in each of ``planes`` planes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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
