"""A data set as tensors in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from transect.study.data.noise import symmetric_label_noise
from transect.study.data.normalisation import Normalisation, as_pixels
from transect.study.sections import SplitName

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
