"""The paths of a study: around which samples of a split, and of which shape."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.errors import StudyError
from transect.paths import Path, shift_scale_circles
from transect.study.config import PathConfig
from transect.study.data.dataset import Split


def paths_around(split: Split, config: PathConfig) -> list[Path]:
    """Closed paths around randomly chosen samples; the same samples for every network.

    Args:
        split: Where the samples come from.
        config: How many paths, of which shape, and the seed of the choice.

    Returns:
        ``config.paths`` paths, in the order of their samples in the split.

    Raises:
        StudyError: If the split has fewer samples than paths are asked for.
    """
    signals = split.inputs[_chosen(len(split), config)].double()
    return shift_scale_circles(signals, anchors=config.anchors, shift=config.shift, scale=config.scale)


def _chosen(samples: int, config: PathConfig) -> Tensor:
    if config.paths > samples:
        raise StudyError(
            f"expected at least {config.paths} samples for as many paths, got {samples}; ask for fewer paths"
        )
    generator = torch.Generator().manual_seed(config.seed)
    return torch.randperm(samples, generator=generator)[: config.paths].sort().values
