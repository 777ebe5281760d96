"""What the sources of images have in common: a part to train on and one to test on, all of one size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_IMAGES_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of one size with their classes.

    Attributes:
        images: ``(N, channels, height, width)``, uint8.
        labels: ``(N,)``, int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor) -> LabelledImages:
        return LabelledImages(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class ImageSource:
    """All that a collection of images has, before samples are drawn from it.

    Attributes:
        name: Name of the data set.
        classes: Number of classes.
        train: The training part.
        test: The test part.
    """

    name: str
    classes: int
    train: LabelledImages
    test: LabelledImages


def resized(images: Tensor, size: int | None) -> Tensor:
    """Images of ``size`` by ``size`` pixels, bilinear with antialiasing, as Pillow resizes; as they are for None.

    Args:
        images: ``(N, channels, height, width)``, uint8.
        size: Side in pixels.
    """
    if size is None or images.shape[-2:] == (size, size):
        return images
    parts = [
        functional.interpolate(part, size=(size, size), mode="bilinear", antialias=True)
        for part in images.split(_IMAGES_AT_ONCE)
    ]
    return torch.cat(parts)
