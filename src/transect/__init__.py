"""Transect: how nonlinear is this network, where, and does it matter?

Capture a network, walk along a path in its input space, and find every linear region it crosses:

    network = transect.capture(model, example)
    trace = transect.trace(network, transect.Path(anchors, closed=True))
    trace.crossings, trace.absolute_deviation()
"""

from transect import paths
from transect._version import __version__
from transect.network import Network, capture
from transect.paths import Path
from transect.results import Trace
from transect.tracing import stream, trace

__all__ = ["Network", "Path", "Trace", "__version__", "capture", "paths", "stream", "trace"]
