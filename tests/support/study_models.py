"""Models of a user, as a study file names them, and which models of the table are given signals in tests."""

from __future__ import annotations

import torch
from torch import nn

OF_SIGNALS = ("mlp", "cnn1d")


def small(width: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(40, width), nn.ReLU(), nn.Linear(width, classes))


def raises_at_three(width: int, classes: int) -> nn.Module:
    if width == 3:
        raise RuntimeError("three is not my number")
    return small(width, classes)


class Raises(nn.Module):
    """Fails in training, not when it is built."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.layers = small(width, classes)

    def forward(self, x):
        if self.training and self.layers[0].out_features == 3:
            raise ValueError("no training today")
        return self.layers(x)


class Smooth(nn.Module):
    """Not piecewise affine."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(40, width), nn.Linear(width, classes)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))
