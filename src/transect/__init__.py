"""Transect: how nonlinear is this network, where, and does it matter?

Capture a network, walk along a path in its input space, and find every linear region it crosses:

    network = transect.capture(model, example)
    trace = transect.trace(network, transect.Path(anchors, closed=True))
    trace.crossings, trace.absolute_deviation()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from transect._version import __version__

if TYPE_CHECKING:
    from transect import paths
    from transect.estimation import Estimate, estimate
    from transect.measuring import Measurements, checkpoints, forecast, measure
    from transect.networks.network import Network, capture
    from transect.paths import Path, Plane
    from transect.patterns import Pattern
    from transect.slicing import Slice, forecast_slice, slice, stream_slice
    from transect.slicing.files import load_slice
    from transect.tracing import stream, trace
    from transect.tracing.files import load_trace
    from transect.tracing.result import Trace

__all__ = [
    "Estimate",
    "Measurements",
    "Network",
    "Path",
    "Pattern",
    "Plane",
    "Slice",
    "Trace",
    "__version__",
    "capture",
    "checkpoints",
    "estimate",
    "forecast",
    "forecast_slice",
    "load_slice",
    "load_trace",
    "measure",
    "paths",
    "slice",
    "stream",
    "stream_slice",
    "trace",
]

_HOMES = {
    "Estimate": "transect.estimation",
    "Measurements": "transect.measuring",
    "Network": "transect.networks.network",
    "Path": "transect.paths",
    "Pattern": "transect.patterns",
    "Plane": "transect.paths",
    "Slice": "transect.slicing",
    "Trace": "transect.tracing.result",
    "capture": "transect.networks.network",
    "checkpoints": "transect.measuring",
    "estimate": "transect.estimation",
    "forecast": "transect.measuring",
    "forecast_slice": "transect.slicing",
    "load_slice": "transect.slicing.files",
    "load_trace": "transect.tracing.files",
    "measure": "transect.measuring",
    "slice": "transect.slicing",
    "stream": "transect.tracing",
    "stream_slice": "transect.slicing",
    "trace": "transect.tracing",
}


if not TYPE_CHECKING:  # where types are checked, every name is known, and one that there is not is an error

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: torch takes seconds, and ``transect --help`` does not need it."""
        if name == "paths":
            return importlib.import_module("transect.paths")
        if name not in _HOMES:
            raise AttributeError(f"module 'transect' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
