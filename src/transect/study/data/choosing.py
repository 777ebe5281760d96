"""Which samples of a split the paths of a study start from, and which they lead to."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.errors import StudyError
from transect.study.config import PathConfig
from transect.study.data.dataset import Split


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
