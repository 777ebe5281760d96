"""Drawing the samples of a study from a collection of images: validation, training, test."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.errors import StudyError
from transect.study.config import DataConfig
from transect.study.data.dataset import DataSet, Split
from transect.study.data.images import ImageSource, LabelledImages
from transect.study.data.normalisation import Normalisation


def drawn(source: ImageSource, config: DataConfig) -> DataSet:
    """The samples of a study, without label noise.

    The training part is put into random order. Its first samples are for validation; from the rest training samples
    are drawn, as many of each class as can be. So the samples of a small training set are also in a large one with the
    same seed, and the validation samples do not depend on how many there are. Of the test part, in random order too,
    the first are taken.

    Args:
        source: What there is.
        config: Numbers of samples and the seed.

    Returns:
        The samples, with the normalisation of the whole training part: it too does not depend on what is drawn.

    Raises:
        StudyError: If more samples are asked for than there are.
    """
    train, validation = _train_and_validation(source, config)
    test = _random_order(len(source.test), config.seed)[: _test_samples(source, config)]
    return DataSet(
        source.name,
        source.classes,
        train=_split(source.train, train),
        validation=_split(source.train, validation),
        test=_split(source.test, test),
        normalisation=Normalisation.of(source.train.images),
    )


def _split(samples: LabelledImages, indices: Tensor) -> Split:
    return Split.clean(samples.images[indices], samples.labels[indices])


def interleaved(labels: Tensor) -> Tensor:
    """An order in which the classes take turns: one sample of each, a second of each, and so on while there are any.

    Args:
        labels: ``(N,)``, int64.

    Returns:
        Indices, ``(N,)``: within a class, and within a turn, in the order that was given.
    """
    by_class = labels.argsort(stable=True)
    counts = torch.bincount(labels)
    first = (counts.cumsum(0) - counts)[labels[by_class]]
    turn = torch.empty_like(by_class)
    turn[by_class] = torch.arange(len(labels)) - first
    return turn.argsort(stable=True)


def _train_and_validation(source: ImageSource, config: DataConfig) -> tuple[Tensor, Tensor]:
    available, validation_samples = len(source.train), config.validation_samples
    wanted = validation_samples + (config.train_samples or 1)
    if wanted > available:
        for_training = "all other" if config.train_samples is None else config.train_samples
        raise StudyError(
            f"data.train_samples, data.validation_samples: expected at most {available} samples together, which is "
            f"what the training part of {source.name} has, got {for_training} for training and {validation_samples} "
            "for validation; ask for fewer"
        )
    order = _random_order(available, config.seed)
    validation, rest = order[:validation_samples], order[validation_samples:]
    return rest[interleaved(source.train.labels[rest])][: config.train_samples], validation


def _test_samples(source: ImageSource, config: DataConfig) -> int | None:
    if config.test_samples is not None and config.test_samples > len(source.test):
        raise StudyError(
            f"data.test_samples: expected at most {len(source.test)} samples, which is what the test part of "
            f"{source.name} has, got {config.test_samples}; ask for fewer"
        )
    return config.test_samples


def _random_order(samples: int, seed: int) -> Tensor:
    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
