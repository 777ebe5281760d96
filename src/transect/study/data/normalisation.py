"""From stored pixels to what a network sees: scaled to [0, 1], then each channel minus its mean, over its deviation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transect.errors import StudyError

LARGEST = 255
"""Of an 8-bit pixel, which becomes 1."""


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1].

    Attributes:
        mean: ``(channels,)``, float64.
        std: ``(channels,)``, float64, positive.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Normalisation:
        """The mean and the (population) standard deviation over all pixels of some images.

        Args:
            images: ``(N, channels, height, width)``, uint8. The sums are those of integers, so that nothing is rounded
                before the end.

        Raises:
            StudyError: If a channel has the same value everywhere.
        """
        values = torch.arange(LARGEST + 1)
        counts = torch.stack([torch.bincount(channel.flatten(), minlength=len(values)) for channel in images.unbind(1)])
        total, first, second = counts.sum(1), counts @ values, counts @ values.square()
        mean = first.double() / total
        std = (second.double() / total - mean.square()).clamp(min=0).sqrt()
        constant = ((counts > 0).sum(1) < 2).nonzero().flatten().tolist()
        if constant:
            raise StudyError(
                f"expected training images whose channels vary, got {len(images)} images whose channel {constant[0]} "
                "has the same value at every pixel; check the images"
            )
        return cls(mean / LARGEST, std / LARGEST)

    def apply(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1], ``(..., channels, height, width)`` of floating dtype, normalised."""
        mean, std = (part.to(pixels).reshape(-1, 1, 1) for part in (self.mean, self.std))
        return (pixels - mean).div_(std)


def as_pixels(images: Tensor, dtype: torch.dtype) -> Tensor:
    """8-bit images scaled to [0, 1]."""
    return images.to(dtype).div_(LARGEST)
