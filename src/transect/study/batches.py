"""The batches of an epoch: samples in random order, augmented and prepared; all from a seed and the epoch's number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from transect.errors import StudyError
from transect.study.config import TrainConfig
from transect.study.data.augment import augmented
from transect.study.data.dataset import DataSet

_AUGMENTATION, _LAYERS = 1, 2  # streams beside that of the order; a seed sequence takes 0 for nothing


def epoch_order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in an epoch: a permutation that depends on these three numbers only, ``(samples,)``."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(samples))


def seed_of_layers(config: TrainConfig, epoch: int) -> int:
    """Seed of what the network itself draws in an epoch, such as dropout."""
    return _stream(config.seed_of_order, epoch, _LAYERS)


def batches(data: DataSet, config: TrainConfig, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The training samples in the order of an epoch; the last batch may be smaller.

    Args:
        data: The samples, on any device: batches are on the same.
        config: Batch size, augmentation and their seed.
        epoch: Which epoch, from 0.

    Yields:
        What the network sees, ``(batch, *input_shape)``, float32, and the (noisy) labels ``(batch,)``.
    """
    generator = torch.Generator().manual_seed(_stream(config.seed_of_order, epoch, _AUGMENTATION))
    order = epoch_order(len(data.train), config.seed_of_order, epoch).to(data.train.labels.device)
    inputs, labels = data.train.inputs[order], data.train.labels[order]
    for batch, targets in zip(inputs.split(config.batch_size), labels.split(config.batch_size), strict=True):
        yield data.prepare(augmented(batch, config.crop, config.flip, generator)), targets


def refuse_impossible_augmentation(data: DataSet, config: TrainConfig) -> None:
    """Make sure that what is to be cropped or flipped is an image.

    Raises:
        StudyError: If it is none.
    """
    inputs = data.train.inputs
    if (config.crop or config.flip) and (inputs.dtype != torch.uint8 or inputs.ndim != 4):
        raise StudyError(
            f"train.crop and train.flip are for images, (N, C, H, W) of dtype uint8; the inputs of {data.name} have "
            f"the shape {tuple(inputs.shape)} and the dtype {inputs.dtype}: set crop = 0 and flip = false"
        )


def _stream(seed: int, epoch: int, stream: int) -> int:
    """A seed that depends on these three numbers only; 63 bits, as many as PyTorch's generators take."""
    (drawn,) = np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)
    return int(drawn) >> 1
