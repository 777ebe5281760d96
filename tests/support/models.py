"""Modules for tests at sizes the exact oracle does not reach, in float64; every ReLU is a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

import transect
from transect.study.models.architectures import resnet18
from transect.tracing.segment import Segment


def perceptron(*widths: int, seed: int = 0, bias: bool = True) -> nn.Sequential:
    """Linear layers from width to width with ReLUs between them; He initialisation, biases as large as the weights."""
    random = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for into, out in pairwise(widths):
        deviation = (2 / into) ** 0.5
        weight = deviation * torch.randn(out, into, generator=random, dtype=torch.float64)
        layers += [linear(weight, deviation * torch.randn(out, generator=random).double() if bias else None), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def linear(weight: Tensor | Sequence[Sequence[float]], bias: Tensor | Sequence[float] | None = None) -> nn.Linear:
    """A linear layer of these numbers."""
    numbers = torch.as_tensor(weight, dtype=torch.float64)
    layer = nn.Linear(numbers.shape[1], numbers.shape[0], bias is not None).double()
    with torch.no_grad():
        layer.weight.copy_(numbers)
        if bias is not None:
            layer.bias.copy_(torch.as_tensor(bias, dtype=torch.float64))
    return layer


def residual_network(size: int = 8, seed: int = 0) -> nn.Module:
    """A ResNet18 of base width 1 with batch norm whose statistics, weights and biases are not those of a fresh one."""
    torch.manual_seed(seed)
    module = resnet18(1, (3, size, size), 5, batch_norm=True).double().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.bias):
                nn.init.normal_(tensor, std=0.3)
            for tensor in (part.running_var, part.weight):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return module


def points(count: int, *shape: int, seed: int = 0) -> Tensor:
    """Normal points of an input space, ``(count, *shape)``."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built_and_traced(build: Callable[[], nn.Module], anchors: Tensor) -> tuple[nn.Module, transect.Trace]:
    """A module, and its trace along the open path through the anchors."""
    module = build()
    return module, transect.trace(transect.capture(module, anchors[0]), transect.Path(anchors))


def traced_once(
    cases: Mapping[str, tuple[Callable[[], nn.Module], Tensor]],
) -> Callable[[str], tuple[nn.Module, transect.Trace]]:
    """:func:`built_and_traced` of a case by its name, each when it is first asked for."""
    return cache(lambda name: built_and_traced(*cases[name]))


def interpolated(segment: Segment, t: Tensor) -> Tensor:
    """Outputs at positions of a segment, on the straight lines between those at its knots, ``(len(t), C)``."""
    right = torch.searchsorted(segment.t, t).clamp(1, len(segment.t) - 1)
    low, high = segment.t[right - 1], segment.t[right]
    weight = ((t - low) / (high - low)).unsqueeze(1)
    return torch.lerp(segment.outputs[right - 1], segment.outputs[right], weight)
