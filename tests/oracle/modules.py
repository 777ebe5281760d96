"""A description of a network as a float64 torch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oracle.steps import (
    Absolute,
    AveragePool,
    BatchNorm,
    Case,
    Clamp,
    Concatenation,
    Convolution,
    Flatten,
    HardSigmoid,
    LeakyRelu,
    Linear,
    Maximum,
    MaxOver,
    MaxPool,
    Minimum,
    MinOver,
    Pad,
    Prelu,
    Relu,
    Reshape,
    Reversal,
    Slice,
    SoftShrink,
    Step,
    Sum,
    TransposedConvolution,
    Upsample,
)


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


class Calling(nn.Module):
    """A function as a layer, with arguments that stay."""

    def __init__(self, function: Callable[..., Tensor], *arguments: Any, **named: Any) -> None:
        super().__init__()
        self._function, self._arguments, self._named = function, arguments, named

    def forward(self, *values: Tensor) -> Tensor:
        return self._function(*values, *self._arguments, **self._named)


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


@layer_of.register
def _(step: LeakyRelu, dimensions: int) -> nn.Module:
    return nn.LeakyReLU(step.slope)


@layer_of.register
def _(step: Prelu, dimensions: int) -> nn.Module:
    return _with(nn.PReLU(len(step.slopes)), weight=step.slopes)


@layer_of.register
def _(step: Clamp, dimensions: int) -> nn.Module:
    if (step.low, step.high) == (0, 6):
        return nn.ReLU6()
    if (step.low, step.high) == (-1, 1):
        return nn.Hardtanh()
    return Calling(torch.clamp, min=step.low, max=step.high)


@layer_of.register
def _(step: HardSigmoid, dimensions: int) -> nn.Module:
    return nn.Hardsigmoid()


@layer_of.register
def _(step: SoftShrink, dimensions: int) -> nn.Module:
    return nn.Softshrink(step.reach)


@layer_of.register
def _(step: Absolute, dimensions: int) -> nn.Module:
    return Calling(torch.abs)


@layer_of.register
def _(step: MaxPool, dimensions: int) -> nn.Module:
    kind = nn.MaxPool1d if len(step.kernel) == 1 else nn.MaxPool2d
    return kind(step.kernel, step.stride, step.padding, step.dilation, ceil_mode=step.ceil_mode)


@layer_of.register
def _(step: Maximum, dimensions: int) -> nn.Module:
    return Calling(torch.maximum)


@layer_of.register
def _(step: Minimum, dimensions: int) -> nn.Module:
    return Calling(torch.minimum)


@layer_of.register
def _(step: MaxOver, dimensions: int) -> nn.Module:
    return Calling(torch.amax, [dimension + 1 for dimension in step.dimensions])


@layer_of.register
def _(step: MinOver, dimensions: int) -> nn.Module:
    return Calling(torch.amin, [dimension + 1 for dimension in step.dimensions])


@layer_of.register
def _(step: Reshape, dimensions: int) -> nn.Module:
    return Calling(lambda x: x.reshape(-1, *step.shape))


@layer_of.register
def _(step: Upsample, dimensions: int) -> nn.Module:
    return nn.Upsample(scale_factor=2)


@layer_of.register
def _(step: TransposedConvolution, dimensions: int) -> nn.Module:
    into, out, *kernel = step.weight.shape
    kind = nn.ConvTranspose1d if len(kernel) == 1 else nn.ConvTranspose2d
    geometry = {"stride": step.stride, "padding": step.padding, "output_padding": step.output_padding}
    layer = kind(into, out, tuple(kernel), bias=step.bias is not None, **geometry)
    return _with(layer, weight=step.weight, bias=step.bias)


@layer_of.register
def _(step: Pad, dimensions: int) -> nn.Module:
    last_first = [amount for both in reversed(step.amounts) for amount in both]
    value = step.value if step.mode == "constant" else None
    return Calling(nn.functional.pad, last_first, step.mode, value)


@layer_of.register
def _(step: Slice, dimensions: int) -> nn.Module:
    chosen = (*(slice(None),) * (step.dimension + 1), slice(step.start, step.stop, step.step))
    return Calling(lambda x: x[chosen])


@layer_of.register
def _(step: Reversal, dimensions: int) -> nn.Module:
    return Calling(torch.flip, [step.dimension + 1])


def _with(layer: nn.Module, **values: np.ndarray | None) -> nn.Module:
    """The layer in float64 with these parameters and buffers."""
    layer.double()
    with torch.no_grad():
        for name, value in values.items():
            if value is not None:
                getattr(layer, name).copy_(torch.from_numpy(np.array(value, dtype=np.float64)))
    return layer


def points_of(case: Case, positions: Sequence[Fraction]) -> Tensor:
    """Inputs at positions of a case's segment, ``(len(positions), *shape)``."""
    start, end = torch.from_numpy(case.start), torch.from_numpy(case.end)
    return torch.stack([start + float(t) * (end - start) for t in positions])
