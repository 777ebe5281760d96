"""Exact two-dimensional slices: from a network and a plane to polygons, their measures, and the decision boundary."""

from transect.slicing.forecasting import SliceForecast, forecast_slice
from transect.slicing.result import Slice
from transect.slicing.slice import slice, stream_slice

__all__ = ["Slice", "SliceForecast", "forecast_slice", "slice", "stream_slice"]
