"""Paths between noise images of unit variance, the same on every machine."""

from __future__ import annotations

import torch
from torch import Tensor

import transect
from networks import IMAGE


def noise(count: int, seed: int = 2, shape: tuple[int, ...] = IMAGE) -> Tensor:
    """So many noise inputs, float64."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def line(part: float = 1.0) -> transect.Path:
    """That part of the way from one noise image to another."""
    first, second = noise(2)
    return transect.paths.line(first, torch.lerp(first, second, part))


def short_segments(part: float = 1 / 30) -> transect.Path:
    """Eight segments, each that part of the way to another noise image."""
    return _towards(noise(8, seed=3), part)


def four_lines() -> transect.Path:
    """Four segments, each half of the way to another noise image: 10,000 regions each in a ResNet18 of width 4."""
    return _towards(noise(4, seed=5), 0.5)


def polyline(segments: int, shape: tuple[int, ...]) -> transect.Path:
    """Segments from one noise input to the next."""
    return transect.Path(noise(segments + 1, seed=4, shape=shape))


def wide_angle(part: float, shape: tuple[int, ...]) -> transect.Path:
    """That part of the way from a noise input to another one of its length, at an angle of 135 degrees.

    A unit without bias crosses on it with probability 3/4.
    """
    first, second = noise(2, shape=shape)
    return transect.paths.line(first, torch.lerp(first, (second - first) / 2**0.5, part))


def _towards(targets: Tensor, part: float) -> transect.Path:
    anchors = [noise(1)[0]]
    for target in targets:
        anchors.append(torch.lerp(anchors[-1], target, part))
    return transect.Path(torch.stack(anchors))
