"""Paths of one-dimensional signals: closed circles in (shift, scale)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.paths.path import Path
from transect.support.types import TensorLike


def shift_scale_circle(signal: TensorLike, shift: float = 2.0, scale: float = 0.15, anchors: int = 8) -> Path:
    """The closed path of a signal that is shifted and scaled along a circle.

    Anchor k is the signal shifted by ``shift * cos(2 pi k/K)`` samples and multiplied by
    ``1 + scale * sin(2 pi k/K)``. A shift by part of a sample interpolates linearly between samples; beyond its ends
    the signal keeps its first and last value. The signal itself is not an anchor.

    Args:
        signal: One signal, ``(n,)``, of floating dtype.
        shift: Radius in the direction of the shift, in samples.
        scale: Radius in the direction of the scale.
        anchors: K, at least 3.

    Raises:
        InvalidInput: The signal is not of that shape, or neighbouring anchors are the same signal.
    """
    tensor = torch.as_tensor(signal)
    if tensor.dim() != 1:
        raise InvalidInput(f"signal: expected shape (n,), got {tuple(tensor.shape)}.")
    return shift_scale_circles(tensor.unsqueeze(0), shift, scale, anchors)[0]


def shift_scale_circles(signals: TensorLike, shift: float = 2.0, scale: float = 0.15, anchors: int = 8) -> list[Path]:
    """One :func:`shift_scale_circle` for each signal of a batch, ``(N, n)``."""
    batch = torch.as_tensor(signals)
    if batch.dim() != 2 or not batch.is_floating_point():
        raise InvalidInput(
            f"signals: expected floating-point signals of shape (N, n), got {batch.dtype} of {tuple(batch.shape)}."
        )
    if anchors < 3:
        raise InvalidInput(f"anchors: expected at least 3 for a closed circle, got {anchors}.")
    if not (math.isfinite(shift) and math.isfinite(scale)):
        raise InvalidInput(f"shift, scale: expected finite numbers, got {shift} and {scale}.")
    angles = [2 * math.pi * k / anchors for k in range(anchors)]
    moved = [shifted(batch, shift * math.cos(angle)) * (1 + scale * math.sin(angle)) for angle in angles]
    return [_path(anchors_of_one, index) for index, anchors_of_one in enumerate(torch.stack(moved, 1))]


def _path(anchors: Tensor, index: int) -> Path:
    try:
        return Path(anchors, closed=True)
    except InvalidInput as error:
        raise InvalidInput(f"signal {index}: {error}") from error


def shifted(signals: Tensor, by: float) -> Tensor:
    """Signals moved to the right by a real number of samples: linear interpolation, edge values kept.

    Args:
        signals: ``(N, n)``.
        by: Samples; negative to the left.
    """
    last = signals.shape[1] - 1
    position = (torch.arange(last + 1, dtype=torch.float64, device=signals.device) - by).clamp(0, last)
    left = position.floor().long().clamp(max=max(last - 1, 0))
    weight = (position - left).to(signals.dtype)
    return torch.lerp(signals[:, left], signals[:, (left + 1).clamp(max=last)], weight.expand(len(signals), -1))
