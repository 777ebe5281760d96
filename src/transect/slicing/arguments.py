"""What a user gives to ``slice``, ``stream_slice`` and ``forecast_slice``, checked."""

from __future__ import annotations

import torch
from torch import nn

from transect.errors import InvalidInput
from transect.networks.network import Network
from transect.paths import Plane
from transect.tracing.arguments import as_network


def as_sliceable(network: Network | nn.Module, plane: Plane, dtype: torch.dtype | None) -> Network:
    """The network, captured on the fly where a module is given, that takes the inputs of a plane.

    Raises:
        InvalidInput: It is no network, no plane, or their inputs have different shapes.
        UnsupportedModel: The module cannot be sliced exactly.
    """
    if not isinstance(plane, Plane):
        raise InvalidInput(f"plane: expected a transect.Plane, got {type(plane).__name__}.")
    network = as_network(network, plane.at(plane.corners[:4]), dtype)
    if plane.input_shape != network.input_shape:
        raise InvalidInput(
            f"plane: it lies in a space of inputs of shape {plane.input_shape}, but the network takes inputs of shape "
            f"{network.input_shape}."
        )
    return network
