"""A data set as tensors in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from transect.errors import StudyError
from transect.study.sections import SplitName

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


SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
Samples = Literal["all", "clean", "noisy"]


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one part of a data set.

    Attributes:
        inputs: As they are stored: signals ``(N, n)``, float32, or images ``(N, channels, height, width)``, uint8;
            :meth:`DataSet.prepare` makes of them what a network sees.
        labels: Labels to train on and to evaluate against, noisy ones included, ``(N,)``, int64.
        clean_labels: The right labels, ``(N,)``, int64.
        flipped: Indices of the samples whose label is wrong, increasing, ``(F,)``, int64.
    """

    inputs: Tensor
    labels: Tensor
    clean_labels: Tensor
    flipped: Tensor

    @classmethod
    def clean(cls, inputs: Tensor, labels: Tensor) -> Split:
        """Samples whose labels are all right."""
        return cls(inputs, labels, clean_labels=labels, flipped=torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def clean_indices(self) -> Tensor:
        """Indices of the samples whose label is right, increasing, int64."""
        return (self.labels == self.clean_labels).nonzero().flatten()

    @property
    def noisy_indices(self) -> Tensor:
        """Indices of the samples whose label is wrong, increasing, int64."""
        return self.flipped

    def indices(self, samples: Samples) -> Tensor:
        """Indices of all samples, of the clean or of the noisy ones, increasing, int64."""
        if samples == "all":
            return torch.arange(len(self))
        return self.clean_indices if samples == "clean" else self.noisy_indices


@dataclass(frozen=True, eq=False)
class DataSet:
    """Training, validation and test samples.

    Attributes:
        name: Name of the data set.
        classes: Number of classes.
        train: The samples to train on.
        validation: Samples from the same source that training never sees; may be empty.
        test: Samples that training never sees.
        normalisation: Of images; None for signals, which are used as they are.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    normalisation: Normalisation | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.inputs.shape[1:])

    def split(self, name: SplitName) -> Split:
        """The part called ``"train"``, ``"validation"`` or ``"test"``."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def prepare(self, inputs: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """What the network sees of stored inputs: 8-bit images scaled to [0, 1] and normalised, others as they are.

        Args:
            inputs: A batch of inputs as a :class:`Split` holds them, on any device.
            dtype: Of the result: float32 for training and evaluating, float64 for paths.
        """
        if inputs.is_floating_point():
            return inputs.to(dtype)
        pixels = as_pixels(inputs, dtype)
        return pixels if self.normalisation is None else self.normalisation.apply(pixels)


def with_label_noise(data: DataSet, fraction: float, seed: int) -> DataSet:
    """The same data set with symmetric noise on its training labels; the others stay right."""
    noisy, flipped = symmetric_label_noise(data.train.clean_labels, data.classes, fraction, seed)
    return replace(data, train=replace(data.train, labels=noisy, flipped=flipped))
