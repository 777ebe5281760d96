"""A tracer that marches: at each point the direction's derivative of every pre-activation, then the smallest step.

It works for any float64 module whose only bending operations are ``nn.ReLU`` modules (not in place). Values and
directional derivatives travel together as dual numbers. A unit at its threshold goes where its derivative points, so
standing exactly on a boundary the pattern is that of the region ahead: no step over it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

_ZERO = 1e-11  # of the largest pre-activation or derivative of the operation: closer to zero is zero


@dataclass(frozen=True)
class Marched:
    """Boundaries ``(K,)`` in (0, 1), and the patterns of the K + 1 regions, one tensor of booleans an operation."""

    t: list[float]
    patterns: list[list[Tensor]]

    def flips(self) -> list[set[tuple[int, int, int, int]]]:
        """(operation, unit, before, after) at each boundary."""
        pairs = zip(self.patterns[:-1], self.patterns[1:], strict=True)
        return [
            {(k, u, int(a[u]), int(b[u])) for k, (a, b) in enumerate(zip(left, right, strict=True))
             for u in (a != b).nonzero().flatten().tolist()} for left, right in pairs]  # fmt: skip


def march(module: nn.Module, start: Tensor, end: Tensor) -> Marched:
    """All boundaries of linear regions from ``start`` to ``end`` (single inputs, without a batch dimension)."""
    t = 0.0
    boundaries: list[float] = []
    patterns: list[list[Tensor]] = []
    while True:
        pattern, step = _look_ahead(module, torch.lerp(start, end, t), end - start)
        patterns.append(pattern)
        if t + step >= 1:
            return Marched(boundaries, patterns)
        t += step
        boundaries.append(t)


def _look_ahead(module: nn.Module, x: Tensor, direction: Tensor) -> tuple[list[Tensor], float]:
    """The pattern just ahead of x, and how far it holds."""
    patterns: list[Tensor] = []
    steps = [float("inf")]
    with torch.no_grad(), forward_ad.dual_level(), _bent_ahead(module, patterns, steps):
        module(forward_ad.make_dual(x.unsqueeze(0), direction.unsqueeze(0)))
    return patterns, min(steps)


@contextmanager
def _bent_ahead(module: nn.Module, patterns: list[Tensor], steps: list[float]) -> Iterator[None]:
    """Let every ReLU follow the pattern ahead, and note it."""

    def bend(_: nn.Module, inputs: tuple[Tensor], __: Tensor) -> Tensor:
        z, slope = forward_ad.unpack_dual(inputs[0])
        slope = torch.zeros_like(z) if slope is None else slope
        rounding = _ZERO * torch.maximum(z.abs().max(), slope.abs().max())
        at_zero = z.abs() <= rounding
        active = torch.where(at_zero, slope > rounding, z > 0)
        leaving = ~at_zero & (torch.where(active, -slope, slope) > 0)
        steps.extend((z / slope).abs()[leaving].tolist())
        patterns.append(active.flatten())
        return inputs[0] * active

    hooks = [part.register_forward_hook(bend) for part in module.modules() if isinstance(part, nn.ReLU)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
