"""A description of a network as a float64 torch module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import numpy as np
import torch
from torch import Tensor, nn

from oracle.steps import AveragePool, BatchNorm, Concatenation, Convolution, Flatten, Linear, Relu, Step, Sum


class Described(nn.Module):
    """Executes a list of steps with ordinary layers, one module a step.

    Args:
        steps: The description.
        dimensions: Dimensions of one input (1: a vector, 2: channels and a signal, 3: channels and an image).
    """

    def __init__(self, steps: Sequence[Step], dimensions: int) -> None:
        super().__init__()
        self._sources = [step.sources for step in steps]
        self.layers = nn.ModuleList(layer_of(step, dimensions) for step in steps)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for sources, layer in zip(self._sources, self.layers, strict=True):
            values.append(layer(*(values[source] for source in sources)))
        return values[-1]


class Adding(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Joining(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y], 1)


@singledispatch
def layer_of(step: Step, dimensions: int) -> nn.Module:
    raise NotImplementedError(type(step).__name__)


@layer_of.register
def _(step: Linear, dimensions: int) -> nn.Module:
    out, into = step.weight.shape
    return _with(nn.Linear(into, out, step.bias is not None), weight=step.weight, bias=step.bias)


@layer_of.register
def _(step: Convolution, dimensions: int) -> nn.Module:
    kind = nn.Conv1d if dimensions == 2 else nn.Conv2d
    out, into, *kernel = step.weight.shape
    geometry = {"stride": step.stride, "padding": step.padding, "dilation": step.dilation, "groups": step.groups}
    layer = kind(into * step.groups, out, tuple(kernel), bias=step.bias is not None, **geometry)
    return _with(layer, weight=step.weight, bias=step.bias)


@layer_of.register
def _(step: AveragePool, dimensions: int) -> nn.Module:
    kind = nn.AvgPool1d if dimensions == 2 else nn.AvgPool2d
    return kind(step.kernel, step.stride, step.padding)


@layer_of.register
def _(step: BatchNorm, dimensions: int) -> nn.Module:
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[dimensions]
    layer = kind(len(step.mean), eps=step.epsilon)
    return _with(layer, running_mean=step.mean, running_var=step.variance, weight=step.weight, bias=step.bias)


@layer_of.register
def _(step: Relu, dimensions: int) -> nn.Module:
    return nn.ReLU()


@layer_of.register
def _(step: Sum, dimensions: int) -> nn.Module:
    return Adding()


@layer_of.register
def _(step: Concatenation, dimensions: int) -> nn.Module:
    return Joining()


@layer_of.register
def _(step: Flatten, dimensions: int) -> nn.Module:
    return nn.Flatten()


def _with(layer: nn.Module, **values: np.ndarray | None) -> nn.Module:
    """The layer in float64 with these parameters and buffers."""
    layer.double()
    with torch.no_grad():
        for name, value in values.items():
            if value is not None:
                getattr(layer, name).copy_(torch.from_numpy(np.array(value, dtype=np.float64)))
    return layer
