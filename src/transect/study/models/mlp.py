"""A multilayer perceptron of a given width."""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import nn

HIDDEN_LAYERS = 2


def mlp(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """Two hidden ReLU layers of ``width`` units: n-h-h-classes, PyTorch's default initialisation.

    Args:
        width: Units of each hidden layer.
        input_shape: Shape of one input; flattened.
        classes: Number of outputs (logits).
        batch_norm: Whether each hidden layer is normalised before its ReLU.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    fan_in = math.prod(input_shape)
    for index in range(1, HIDDEN_LAYERS + 1):
        layers[f"linear{index}"] = nn.Linear(fan_in, width)
        if batch_norm:
            layers[f"norm{index}"] = nn.BatchNorm1d(width)
        layers[f"relu{index}"] = nn.ReLU()
        fan_in = width
    layers["head"] = nn.Linear(fan_in, classes)
    return nn.Sequential(layers)
