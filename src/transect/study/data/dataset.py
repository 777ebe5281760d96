"""A data set as tensors in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from transect.study.data.noise import symmetric_label_noise

SplitName = Literal["train", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one part of a data set.

    Attributes:
        inputs: What the network sees, ``(N, *input_shape)``, float32.
        labels: Labels to train on and to evaluate against, noisy ones included, ``(N,)``, int64.
        clean_labels: The right labels, ``(N,)``, int64.
        flipped: Indices of the samples whose label is wrong, ``(F,)``, int64.
    """

    inputs: Tensor
    labels: Tensor
    clean_labels: Tensor
    flipped: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, eq=False)
class DataSet:
    """Training and test samples.

    Attributes:
        name: Name of the data set.
        classes: Number of classes.
        train: The samples to train on.
        test: Samples that training never sees.
    """

    name: str
    classes: int
    train: Split
    test: Split

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.inputs.shape[1:])

    def split(self, name: SplitName) -> Split:
        """The part called ``"train"`` or ``"test"``."""
        return self.train if name == "train" else self.test


def with_label_noise(data: DataSet, fraction: float, seed: int) -> DataSet:
    """The same data set with symmetric noise on its training labels; test labels stay right."""
    noisy, flipped = symmetric_label_noise(data.train.clean_labels, data.classes, fraction, seed)
    return replace(data, train=replace(data.train, labels=noisy, flipped=flipped))
