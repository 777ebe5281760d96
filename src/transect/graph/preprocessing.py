"""What comes in front of a model, so that paths live in the space of raw inputs: normalisation, resizing, cropping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput


def as_module(preprocess: Any) -> nn.Module:
    """A module, a function of a batch, or torchvision's ``Compose`` of them, as a module that can be exported.

    Raises:
        InvalidInput: It cannot be called.
    """
    if isinstance(preprocess, nn.Module) and not _is_torchvision_normalize(preprocess):
        return preprocess
    if _is_torchvision_normalize(preprocess):
        return Standardised(preprocess.mean, preprocess.std)
    if type(preprocess).__name__ == "Compose" and hasattr(preprocess, "transforms"):
        return nn.Sequential(*map(as_module, preprocess.transforms)).eval()
    if callable(preprocess):
        return Applied(preprocess)
    raise InvalidInput(
        "preprocess: expected a module or a function that maps a batch of raw inputs to what the model takes, got "
        f"{type(preprocess).__name__}."
    )


class Standardised(nn.Module):
    """Each channel minus its mean, over its standard deviation.

    It stands for torchvision's first ``Normalize``, which branches on the values of its deviations: ``torch.export``
    cannot follow that.
    """

    def __init__(self, mean: Any, std: Any) -> None:
        super().__init__()
        self.mean, self.std = (
            torch.as_tensor(numbers, dtype=torch.float64).reshape(-1, 1, 1) for numbers in (mean, std)
        )
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(N, channels, height, width)``, standardised."""
        return (x - self.mean.to(x)) / self.std.to(x)


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The function's value at a batch."""
        return self._function(x)


def _is_torchvision_normalize(preprocess: Any) -> bool:
    kind = type(preprocess)
    return (kind.__module__, kind.__name__) == ("torchvision.transforms.transforms", "Normalize")
