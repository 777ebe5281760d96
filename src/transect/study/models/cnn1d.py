"""A small convolutional network for one-dimensional signals."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from transect.errors import StudyError

KERNEL_SIZES = (5, 3, 3)
STRIDE = 2


class Channel(nn.Module):
    """Gives signals ``(N, n)`` the one channel that a convolution wants: ``(N, 1, n)``."""

    def forward(self, signals: Tensor) -> Tensor:
        """Insert the channel dimension."""
        return signals.unsqueeze(1)


def cnn1d(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """Three convolutions of stride 2 and ``width`` channels, each with a ReLU, then a linear head.

    Args:
        width: Channels of each convolution.
        input_shape: ``(n,)``, the length of the signal.
        classes: Number of outputs (logits).
        batch_norm: Whether each convolution is followed by batch norm.

    Raises:
        StudyError: If the inputs are not one-dimensional signals.
    """
    if len(input_shape) != 1:
        raise StudyError(
            f"cnn1d expects signals of shape (n,), got inputs of shape {input_shape}; choose another model"
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict(channel=Channel())
    channels, length = 1, input_shape[0]
    for index, kernel in enumerate(KERNEL_SIZES, start=1):
        layers[f"conv{index}"] = nn.Conv1d(channels, width, kernel, STRIDE, padding=kernel // 2, bias=not batch_norm)
        if batch_norm:
            layers[f"norm{index}"] = nn.BatchNorm1d(width)
        layers[f"relu{index}"] = nn.ReLU()
        channels, length = width, -(-length // STRIDE)
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(channels * length, classes)
    return nn.Sequential(layers)
