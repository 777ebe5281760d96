"""From a network and a path to a trace."""

from transect.tracing.trace import stream, trace

__all__ = ["stream", "trace"]
