"""What plain evaluation on a dense grid shows: signs of all pre-activations, and integrals by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def grid(start: Tensor, end: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Positions ``(N,)`` and inputs ``(N, *shape)``, ends included."""
    t = torch.linspace(0, 1, points, dtype=torch.float64)
    return t, torch.stack([start + float(position) * (end - start) for position in t])


def preactivations(module: nn.Module, x: Tensor) -> list[Tensor]:
    """What every ``nn.ReLU`` module reads, in order, ``(N, units)``."""
    return _seen(module, x, nn.ReLU, lambda _, z: z.clone())


def sign_changes(module: nn.Module, start: Tensor, end: Tensor, points: int) -> list[int]:
    """Changes of sign between neighbouring grid points, for each ReLU: a lower bound of its flips."""
    seen = preactivations(module, grid(start, end, points)[1])
    return [int(((z[1:] > 0) != (z[:-1] > 0)).sum()) for z in seen]


def mean_absolute_deviation(module: nn.Module, start: Tensor, end: Tensor, points: int) -> Tensor:
    """Integral over t of ``|f - a|`` for each output by the trapezium rule, error of order 1 / points^2."""
    t, x = grid(start, end, points)
    with torch.no_grad():
        outputs = module(x)
    straight = outputs[0] + t.unsqueeze(1) * (outputs[-1] - outputs[0])
    return torch.trapezoid((outputs - straight).abs(), t, dim=0)


def total_variation(module: nn.Module, start: Tensor, end: Tensor, points: int) -> Tensor:
    """Sum of the absolute changes between grid points, for each output: a lower bound."""
    with torch.no_grad():
        outputs = module(grid(start, end, points)[1])
    return outputs.diff(dim=0).abs().sum(0)


def integral(function: Callable[[Tensor], Tensor], tolerance: float = 1e-13) -> Tensor:
    """Integral over [0, 1] of a piecewise affine function by adaptive bisection, which closes in on its kinks.

    Args:
        function: Takes positions ``(N,)`` and returns values ``(N, C)``.
        tolerance: A cell is done when quartering it instead of halving it changes its integral by less than this, in
            units of the largest value.

    Returns:
        One integral for each column, ``(C,)``.
    """
    left, width = torch.arange(64, dtype=torch.float64) / 64, 1 / 64
    total, largest = torch.zeros(()), 0.0
    while len(left):
        inside = torch.arange(5, dtype=torch.float64) / 4 * width
        values = function((left.unsqueeze(1) + inside).flatten()).unflatten(0, (len(left), 5))
        largest = max(largest, float(values.abs().max()))
        halves = width * torch.einsum("nkc,k->nc", values, torch.tensor([1, 0, 2, 0, 1]).double() / 4)
        quarters = width * torch.einsum("nkc,k->nc", values, torch.tensor([1, 2, 2, 2, 1]).double() / 8)
        done = ((halves - quarters).abs() <= tolerance * largest).all(1)
        total = total + quarters[done].sum(0)
        left = torch.stack([left[~done], left[~done] + width / 2], 1).flatten()
        width /= 2
    return total


def pieces(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Piece of every unit of every bending module at a batch of points, in order of execution, ``(N, units)`` int64.

    For ``ReLU``, ``LeakyReLU`` and ``Hardtanh`` the number of thresholds the unit is above; for ``MaxPool3d`` and
    ``AdaptiveMaxPool3d`` the place of the winner in its window, row after row, as torch's own indices give it.
    """
    return _seen(module, x, _UNIT_WISE | nn.MaxPool3d | nn.AdaptiveMaxPool3d, _pieces_of)


def _seen(module: nn.Module, x: Tensor, kinds: Any, look: Callable[[nn.Module, Tensor], Tensor]) -> list[Tensor]:
    """What one sees of the inputs of some kinds of modules while a batch runs through, in order, ``(N, units)``."""
    seen: list[Tensor] = []
    hooks = [
        part.register_forward_pre_hook(lambda part, inputs: seen.append(look(part, inputs[0]).flatten(1)))
        for part in module.modules()
        if isinstance(part, kinds)
    ]
    try:
        with torch.no_grad():
            module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


_UNIT_WISE = nn.ReLU | nn.LeakyReLU | nn.Hardtanh


def _pieces_of(part: nn.Module, x: Tensor) -> Tensor:
    if isinstance(part, nn.Hardtanh):
        return (x > part.min_val).long() + (x > part.max_val).long()
    if isinstance(part, _UNIT_WISE):
        return (x > 0).long()
    sizes = x.shape[-3:]
    if isinstance(part, nn.AdaptiveMaxPool3d):
        _, winner = functional.adaptive_max_pool3d(x, part.output_size, return_indices=True)
        spans = [[(k * size // out, -(-(k + 1) * size // out)) for k in range(out)]
                 for size, out in zip(sizes, winner.shape[-3:], strict=True)]  # fmt: skip
        axes = [([low for low, _ in span], 1, max(high - low for low, high in span)) for span in spans]
    else:
        geometry = [_three(value) for value in (part.kernel_size, part.stride, part.padding, part.dilation)]
        kernel, stride, padding, dilation = geometry
        _, winner = functional.max_pool3d(x, kernel, stride, padding, dilation, part.ceil_mode, return_indices=True)
        axes = [([k * stride[d] - padding[d] for k in range(winner.shape[d - 3])], dilation[d], kernel[d])
                for d in range(3)]  # fmt: skip
    return _places(winner, sizes, axes)


def _places(winner: Tensor, sizes: Sequence[int], axes: list[tuple[list[int], int, int]]) -> Tensor:
    """Places in their windows of winners given by their position in the volume.

    Args:
        winner: Positions, ``(N, C, *windows)``.
        sizes: The volume.
        axes: Where the windows begin, the step between their places, and how many these are, for every dimension.
    """
    place = torch.zeros_like(winner)
    for d, (starts, step, width) in enumerate(axes):
        position = winner // math.prod(sizes[d + 1 :]) % sizes[d]
        start = torch.tensor(starts).reshape(-1, *(1,) * (2 - d))
        place = place * width + (position - start) // step
    return place


def _three(value: int | Sequence[int]) -> list[int]:
    return [value] * 3 if isinstance(value, int) else list(value)
