"""Random crops and mirror images of a batch, all at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def augmented(images: Tensor, crop: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Each image moved by up to ``crop`` pixels in both directions, black coming in, and mirrored or not.

    Args:
        images: ``(N, channels, height, width)``, uint8, on any device.
        crop: Pixels of padding on every side, from which a part of the old size is cut out at random; 0 for none.
        flip: Whether every second image, at random, is mirrored sideways.
        generator: On the CPU: decides everything, so that the result is the same on every device.

    Returns:
        Images of the same shape, dtype and device; the same tensor where there is nothing to do.
    """
    if crop:
        images = _cropped(images, crop, generator)
    return _mirrored(images, generator) if flip else images


def _cropped(images: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    samples, height, width = len(images), *images.shape[-2:]
    down, right = torch.randint(2 * crop + 1, (2, samples), generator=generator).to(images.device)
    windows = functional.pad(images, (crop,) * 4).unfold(2, height, 1).unfold(3, width, 1)  # a view of every crop
    return windows[torch.arange(samples, device=images.device), :, down, right]


def _mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    chosen = torch.randint(2, (len(images),), generator=generator).bool().to(images.device)
    return torch.where(chosen.reshape(-1, 1, 1, 1), images.flip(3), images)
