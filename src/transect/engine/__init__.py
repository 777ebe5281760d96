"""The engine: crossings, knots, subdivision, streaming."""
