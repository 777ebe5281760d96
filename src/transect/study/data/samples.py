"""Which samples: drawn from a data set, given wrong labels, chosen for paths."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.errors import StudyError
from transect.study.config import DataConfig, PathConfig
from transect.study.data.dataset import DataSet, Normalisation, Split
from transect.study.data.images import ImageSource, LabelledImages


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


def chosen_samples(split: Split, config: PathConfig) -> Tensor:
    """Different samples at random, the same for every network; those of fewer paths are the first of more.

    Args:
        split: Where the samples come from.
        config: How many, of which samples, and the seed.

    Returns:
        Indices into the split, ``(config.paths,)``, int64, in random order.

    Raises:
        StudyError: If there are fewer samples of this kind.
    """
    return _drawn(_eligible(split, config), config, _generator(config), "")


def chosen_pairs(split: Split, config: PathConfig) -> tuple[Tensor, Tensor]:
    """Different samples at random, and for each another one with the same right label, or with a different one.

    Both are samples of the kind that ``config.samples`` says. Several may lead to the same one.

    Args:
        split: Where the samples come from.
        config: ``kind`` is ``between_same_class`` or ``between_classes``; how many, of which samples, and the seed.

    Returns:
        Two tensors of indices into the split, ``(config.paths,)``, int64, in random order.

    Raises:
        StudyError: If there are fewer samples of this kind that have such another one.
    """
    eligible, is_same = _eligible(split, config), config.kind == "between_same_class"
    labels, generator = split.clean_labels[eligible], _generator(config)
    of_class = torch.bincount(labels)[labels]
    has_partner = of_class > 1 if is_same else of_class < len(labels)
    with_class = f" that have another one of {'the same' if is_same else 'another'} class"
    starts = _drawn(eligible[has_partner], config, generator, with_class)
    wanted = {label: labels == label if is_same else labels != label for label in labels.unique().tolist()}
    partners = {label: eligible[fits] for label, fits in wanted.items()}
    ends = [_other(start, partners[int(split.clean_labels[start])], generator) for start in starts.tolist()]
    return starts, torch.tensor(ends, dtype=torch.int64)


def _generator(config: PathConfig) -> torch.Generator:
    return torch.Generator().manual_seed(config.seed)


def _eligible(split: Split, config: PathConfig) -> Tensor:
    if config.samples == "noisy" and config.split != "train":
        raise StudyError(
            f"paths.samples: only training labels are noisy; expected split 'train' for noisy samples, got "
            f"{config.split!r}; use samples 'all' there"
        )
    return split.indices(config.samples)


def _drawn(eligible: Tensor, config: PathConfig, generator: torch.Generator, that: str) -> Tensor:
    if config.paths > len(eligible):
        kind = "" if config.samples == "all" else f"{config.samples} "
        raise StudyError(
            f"paths.paths: expected at least {config.paths} {kind}samples in the {config.split} part{that}, for as "
            f"many paths, got {len(eligible)}; ask for fewer paths, or for more samples in the section data"
        )
    return eligible[torch.randperm(len(eligible), generator=generator)[: config.paths]]


def _other(start: int, candidates: Tensor, generator: torch.Generator) -> int:
    """One of the candidates, increasing indices, but not the start itself, which may be among them."""
    place = int(torch.searchsorted(candidates, start))
    holds_start = place < len(candidates) and int(candidates[place]) == start
    drawn = int(torch.randint(len(candidates) - holds_start, (), generator=generator))
    return int(candidates[drawn + (holds_start and drawn >= place)])
