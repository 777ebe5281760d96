"""The table of models, and how one is built from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from transect.errors import StudyError
from transect.study.models.cnn1d import cnn1d
from transect.study.models.mlp import mlp
from transect.study.models.resnet import resnet18, resnet34

Builder = Callable[[int, tuple[int, ...], int, bool], nn.Module]

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {"mlp": mlp, "cnn1d": cnn1d, "resnet18": resnet18, "resnet34": resnet34}
)
"""Name to ``builder(width, input_shape, classes, batch_norm)``; a new model is one file and one entry here."""


def build_model(
    name: str, width: int, input_shape: tuple[int, ...], classes: int, seed: int, batch_norm: bool = False
) -> nn.Module:
    """Build a freshly initialised network on the CPU; the same seed gives the same weights.

    PyTorch's initialisers draw from the global generator: it is seeded for the time of the call only.

    Args:
        name: An entry of :data:`BUILDERS`.
        width: Base width.
        input_shape: Shape of one input.
        classes: Number of outputs (logits).
        seed: Seed of the weights.
        batch_norm: Whether to use batch norm.

    Raises:
        StudyError: If there is no such model, the width is not positive or the input does not fit.
    """
    if name not in BUILDERS:
        raise StudyError(f"expected a model of {sorted(BUILDERS)}, got {name!r}")
    if width < 1:
        raise StudyError(f"expected a positive width, got {width}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed CUDA too, for good
        return BUILDERS[name](width, input_shape, classes, batch_norm)
