"""What plain evaluation on a dense grid shows: signs of all pre-activations, and integrals by quadrature."""

from __future__ import annotations

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
