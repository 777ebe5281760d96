"""Symmetric label noise."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.errors import StudyError


def symmetric_label_noise(labels: Tensor, classes: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Give a fraction of the samples a wrong label, each of the other classes being equally likely.

    The label always changes: noise that may draw the right label again corrupts only ``(classes - 1) / classes`` of
    what it says.

    Args:
        labels: Right labels, ``(N,)``, int64, in ``[0, classes)``.
        classes: Number of classes, at least 2.
        fraction: Fraction of the samples, in [0, 1]; ``round(fraction * N)`` labels are changed.
        seed: Seed of the choice of samples and of their labels.

    Returns:
        The noisy labels ``(N,)`` and the indices of those that were changed, increasing, ``(F,)``, both int64.

    Raises:
        StudyError: If the fraction is not in [0, 1] or there is no other class to change to.
    """
    if not 0.0 <= fraction <= 1.0:
        raise StudyError(f"expected a fraction of noisy labels in [0, 1], got {fraction}")
    if classes < 2 and fraction > 0:
        raise StudyError(f"expected at least two classes for label noise, got {classes}")
    generator = torch.Generator().manual_seed(seed)
    flipped = torch.randperm(len(labels), generator=generator)[: round(fraction * len(labels))].sort().values
    steps = torch.randint(1, max(classes, 2), (len(flipped),), generator=generator)
    noisy = labels.clone()
    noisy[flipped] = (labels[flipped] + steps) % classes
    return noisy, flipped
