"""Layers that several networks are made of, initialised after He et al. (2015, "Delving deep into rectifiers")."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from transect.errors import StudyError


def convolution(channels_in: int, channels: int, kernel: int, stride: int, batch_norm: bool) -> nn.Sequential:
    """A convolution that keeps the size at stride 1, and batch norm where wanted (then without a bias of its own).

    Weights are normal with variance ``2 / (kernel^2 channels)``, biases zero.

    Args:
        channels_in: Channels of the input.
        channels: Channels of the output.
        kernel: Side of the kernel, odd.
        stride: Step in both directions.
        batch_norm: Whether batch norm follows.
    """
    layer = nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=not batch_norm)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=layer)
    if batch_norm:
        layers["norm"] = nn.BatchNorm2d(channels)
    return nn.Sequential(layers)


def hidden_linear(units_in: int, units: int) -> nn.Linear:
    """A linear layer before a ReLU: weights are normal with variance ``2 / units_in``, biases zero."""
    layer = nn.Linear(units_in, units)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


def image_shape(model: str, input_shape: tuple[int, ...], smallest: int = 1) -> tuple[int, int, int]:
    """Channels, height and width of an input that must be an image.

    Args:
        model: Name of the model, for the error.
        input_shape: Shape of one input.
        smallest: The least height and width that the model takes.

    Raises:
        StudyError: If the inputs are no images, or too small.
    """
    if len(input_shape) != 3:
        raise StudyError(
            f"{model} expects images of shape (C, H, W), got inputs of shape {input_shape}; choose another model"
        )
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise StudyError(f"{model} expects images of at least {smallest}x{smallest} pixels, got {height}x{width}")
    return channels, height, width
