"""The handwritten digits of scikit-learn: 1,797 grey images of 8 by 8 pixels, which come with it."""

from __future__ import annotations

import torch

from transect.study.data.drawing import interleaved
from transect.study.data.images import ImageSource, LabelledImages, resized
from transect.study.data.normalisation import LARGEST

CLASSES = 10
TEST_PART = 597
"""Samples of the test part; the other 1,200 are the training part."""
_LARGEST_STORED = 16


def load_digits(seed: int, image_size: int | None = None) -> ImageSource:
    """The digits as 8-bit images ``(N, 1, 8, 8)``, in a training part of 1,200 and a test part of 597 images.

    The collection has no test part of its own: this one is drawn, as many of each class as can be.

    Args:
        seed: Of the choice of the test part.
        image_size: Side in pixels to which the images are resized; 8 where None.
    """
    from sklearn import datasets  # here: it takes a second

    found = datasets.load_digits()
    grey = torch.from_numpy(found.images) * (LARGEST / _LARGEST_STORED)
    images = resized(grey.round().to(torch.uint8).unsqueeze(1), image_size)
    samples = LabelledImages(images, torch.from_numpy(found.target).long())
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    order = order[interleaved(samples.labels[order])]
    return ImageSource("digits", CLASSES, train=samples[order[TEST_PART:]], test=samples[order[:TEST_PART]])
