"""What plain evaluation on a dense grid shows: signs of all pre-activations, and integrals by quadrature."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def grid(start: Tensor, end: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Positions ``(N,)`` and inputs ``(N, *shape)``, ends included."""
    t = torch.linspace(0, 1, points, dtype=torch.float64)
    return t, torch.stack([start + float(position) * (end - start) for position in t])


def preactivations(module: nn.Module, x: Tensor) -> list[Tensor]:
    """What every ``nn.ReLU`` module reads, in order, ``(N, units)``."""
    seen: list[Tensor] = []
    hooks = [
        part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1).clone()))
        for part in module.modules()
        if isinstance(part, nn.ReLU)
    ]
    try:
        with torch.no_grad():
            module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


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
