"""Sign changes between neighbouring rows: every (row, unit) whose value is above a threshold on one side only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_WORD = 8  # booleans are compared eight at a time, as one int64


def above(z: Tensor, threshold: float | Tensor, *, or_at: bool = False) -> Tensor:
    """Whether each value is above its threshold (``or_at`` it), ``(R, U)`` bool, in rows padded to whole words."""
    rows, units = z.shape
    padded = torch.zeros if units % _WORD else torch.empty
    buffer = padded((rows, -(-units // _WORD) * _WORD), dtype=torch.bool, device=z.device)
    if z.device.type == "cpu":  # NumPy compares whole vectors of the processor, PyTorch one number after the other
        limit = threshold.numpy() if isinstance(threshold, Tensor) else threshold
        compare = np.greater_equal if or_at else np.greater
        compare(z.numpy(), limit, out=buffer.numpy()[:, :units])
    else:
        (torch.ge if or_at else torch.gt)(z, threshold, out=buffer[:, :units])
    return buffer


def changes(side: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
    """Rows k and units u with ``side[k, u] != side[k + 1, u]`` where rows k and k + 1 are joined; ordered by (k, u)."""
    words = side.view(torch.int64)
    differ = words[1:] ^ words[:-1]
    row, word = differ.nonzero(as_tuple=True)
    inside = joined[row]
    row, word = row[inside], word[inside]
    found, byte = differ[row, word].view(torch.uint8).reshape(-1, _WORD).nonzero(as_tuple=True)
    return row[found], word[found] * _WORD + byte
