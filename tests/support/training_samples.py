"""Small data sets, and ways to be killed, for tests of training."""

from __future__ import annotations

import torch

from transect.study.config import ModelConfig
from transect.study.data.dataset import DataSet, Normalisation, Split
from transect.study.models import build_model


def signals(count: int = 50, validation: int = 0, test: int = 20, shape: tuple[int, ...] = (40,)) -> DataSet:
    """Noise with random labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    return DataSet("noise", 10, *(_noise(size, shape, generator) for size in (count, validation, test)))


def images(count: int = 40, side: int = 8) -> DataSet:
    """8-bit noise with random labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
    split = Split.clean(pixels, torch.randint(10, (count,), generator=generator))
    return DataSet("pixels", 10, split, split, split, Normalisation.of(pixels))


def fresh(name: str, data: DataSet, width: int = 3, batch_norm: bool = False, **settings):
    """A model for a data set, always the same."""
    config = ModelConfig(name=name, width=width, batch_norm=batch_norm, **settings)
    return build_model(config, data.input_shape, data.classes, seed=1)


def same_weights(one, other) -> bool:
    """Whether two models have the same bits."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def quiet(stage, step, steps):
    """Hears nothing."""


class Killed(Exception):
    """Stands for the death of the process."""


def killed_after(epoch: int):
    """A report that ends the training."""

    def report(stage, step, steps):
        if step == epoch:
            raise Killed

    return report


def _noise(count: int, shape: tuple[int, ...], generator: torch.Generator) -> Split:
    return Split.clean(
        torch.randn(count, *shape, generator=generator), torch.randint(10, (count,), generator=generator)
    )
