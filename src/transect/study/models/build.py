"""The table of models, and how one is built from a seed or from a file of weights."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from transect.errors import StudyError, did_you_mean
from transect.networks import load_weights
from transect.study.config import ModelConfig
from transect.study.models.architectures import cnn1d, cnn5, mlp, resnet18, resnet34, vgg8, vgg11, vgg13, vgg16, vgg19
from transect.study.models.named import Make, from_torchvision, from_user, refuse_other_outputs, refuse_useless_settings
from transect.study.sections import TORCHVISION

Builder = Callable[[int, tuple[int, ...], int, bool], nn.Module]

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "mlp": mlp,
        "cnn1d": cnn1d,
        "cnn5": cnn5,
        "vgg8": vgg8,
        "vgg11": vgg11,
        "vgg13": vgg13,
        "vgg16": vgg16,
        "vgg19": vgg19,
        "resnet18": resnet18,
        "resnet34": resnet34,
    }
)
"""Name to ``builder(width, input_shape, classes, batch_norm)``; a new model is one file and one entry here."""


def build_model(config: ModelConfig, input_shape: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """Build a freshly initialised network on the CPU, in training mode; the same seed gives the same weights.

    PyTorch's initialisers draw from the global generator: it is seeded for the time of the call only.

    Args:
        config: Which model; its ``checkpoint`` is not looked at.
        input_shape: Shape of one input.
        classes: Number of outputs (logits).
        seed: Seed of the weights.

    Raises:
        StudyError: If there is no such model, it cannot be built, the input does not fit, or a model of the table would
            be larger than the memory of the machine.
        MissingDependency: If it would be a model of torchvision, which is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        make = _maker(config, tuple(input_shape), classes)
        if config.name in BUILDERS:
            _refuse_larger_than_memory(make, config)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed CUDA too, for good
        model = make()
        if config.name not in BUILDERS:
            refuse_other_outputs(model, config.name, tuple(input_shape), classes)
    return model.train()


def _refuse_larger_than_memory(make: Make, config: ModelConfig) -> None:
    with torch.device("meta"):
        tensors = make().state_dict().values()
    needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else needed
    if needed > there:
        raise StudyError(
            f"model.width: the weights of {config.name} of width {config.width} take {needed / 2**30:,.0f} GiB; "
            f"expected no more than the {there / 2**30:,.0f} GiB of memory of this machine"
        )


def check_model(config: ModelConfig) -> None:
    """Refuse what can be told to be wrong without importing or building anything.

    Raises:
        StudyError: If there is no such model, or a setting would have no effect on it.
    """
    if config.name.startswith(TORCHVISION):
        refuse_useless_settings(config, {})
    elif not config.is_users:
        _maker(config, (), 0)


def load_network(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A network that was trained before: the model with the weights of its ``checkpoint``, in evaluation mode.

    Args:
        config: Which model, and the file of its weights; no code in the file is run.
        input_shape: Shape of one input.
        classes: Number of outputs (logits).

    Raises:
        StudyError: If the model cannot be built, or the configuration names no checkpoint.
        InvalidInput: If the file cannot be read as data, or does not hold the weights of this model.
    """
    if config.checkpoint is None:
        raise StudyError(f"expected a file of weights as model.checkpoint of {config.name}, got none")
    model = build_model(config, input_shape, classes, seed=0)
    load_weights(model, config.checkpoint)
    return model.eval()


def _maker(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> Make:
    if config.name in BUILDERS:
        return _from_table(config, input_shape, classes)
    if ":" in config.name:
        return from_user(config, input_shape, classes)
    if config.name.startswith(TORCHVISION):
        return from_torchvision(config, classes)
    raise StudyError(
        f"there is no model {config.name!r}{did_you_mean(config.name, BUILDERS)}; expected one of "
        f"{', '.join(BUILDERS)}, torchvision.<name> for a model of its zoo, or package.module:callable for one of your "
        "own"
    )


def _from_table(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> Make:
    if config.arguments:
        raise StudyError(
            f"model.arguments: {config.name} takes none, got {', '.join(sorted(config.arguments))}; its settings are "
            "width and batch_norm"
        )
    return functools.partial(BUILDERS[config.name], config.width or 1, input_shape, classes, bool(config.batch_norm))
