"""Networks whose patterns are easily read off the user's own modules, and random ones of the exact oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect
from oracle import mixed, networks
from oracle.choices import Rolled
from oracle.modules import Described
from oracle.networks import drawn, generic
from oracle.steps import Case


@dataclass(frozen=True)
class PatternCase:
    """A module in float64 and the shape of one input."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]

    def module(self) -> nn.Module:
        torch.manual_seed(0)
        return self.build().double().eval()

    def points(self, count: int, seed: int = 1) -> Tensor:
        return torch.randn(count, *self.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 13), nn.ReLU(), nn.Linear(13, 9), nn.ReLU(), nn.Linear(9, 4))


def pooled() -> nn.Module:
    convolutions = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 4, 3), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2))


class Residual(nn.Module):
    """Blocks with two, three and four pieces a unit, added to what they read."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.convolutions = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))
        self.norm = nn.BatchNorm2d(4)
        self.bends = nn.ModuleList([nn.LeakyReLU(0.1), nn.Hardtanh(-0.7, 0.4), nn.PReLU(4), nn.Softshrink(0.3)])
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for convolution, bend in zip(self.convolutions, self.bends, strict=True):
            x = x + bend(self.norm(convolution(x)))
        return self.head(x.amax((2, 3)))


CASES = [
    PatternCase("perceptron", perceptron, (3,)),
    PatternCase("pooled", pooled, (1, 8, 8)),
    PatternCase("residual", Residual, (2, 4, 4)),
]


@cache
def traced(case: PatternCase) -> tuple[transect.Network, transect.Trace]:
    """The network, and its trace along a closed path of four segments."""
    anchors = case.points(4, seed=2)
    network = transect.capture(case.module(), anchors[0])
    return network, transect.trace(network, transect.Path(anchors, closed=True))


def random_case(seed: int) -> Case:
    """A small network of everything that bends, and a segment."""
    choose = Rolled(np.random.default_rng(seed))
    return drawn(choose, [*mixed.FAMILIES, *networks.FAMILIES], generic)


def traced_case(case: Case) -> tuple[transect.Network, transect.Trace]:
    """The oracle's network, and its trace along its segment."""
    network = transect.capture(Described(case.steps, case.start.ndim), case.start)
    return network, transect.trace(network, transect.Path(np.stack([case.start, case.end])))


def pieces_seen(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Pieces of all units, read by hooks on the modules that bend; one ``(N, units)`` a call."""
    seen: list[Tensor] = []
    hooks = [part.register_forward_hook(lambda part, inputs, _: seen.append(_read(part, inputs[0]).flatten(1)))
             for part in module.modules() if isinstance(part, _READABLE)]  # fmt: skip
    with torch.no_grad():
        module(x)
    for hook in hooks:
        hook.remove()
    return seen


_READABLE = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Hardtanh, nn.Softshrink, nn.MaxPool2d)


def _read(part: nn.Module, z: Tensor) -> Tensor:
    if isinstance(part, nn.MaxPool2d):
        return _places_of_winners(part, z)
    thresholds: Sequence[float] = [0.0]
    if isinstance(part, nn.Hardtanh):
        thresholds = [part.min_val, part.max_val]
    if isinstance(part, nn.Softshrink):
        thresholds = [-part.lambd, part.lambd]
    return sum((z > threshold).long() for threshold in thresholds)


def _places_of_winners(pool: nn.MaxPool2d, z: Tensor) -> Tensor:
    """Place in its window, row after row, of each number that wins."""
    size, stride, padding = int(pool.kernel_size), int(pool.stride), int(pool.padding)
    _, winner = functional.max_pool2d(z, size, stride, padding, return_indices=True)
    down, right = winner // z.shape[-1], winner % z.shape[-1]
    top = (torch.arange(winner.shape[-2]) * stride - padding).unsqueeze(1)
    left = torch.arange(winner.shape[-1]) * stride - padding
    return (down - top) * size + (right - left)
