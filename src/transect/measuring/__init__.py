"""Many paths or planes, many models: a table with one row a model and path, or plane."""

from transect.measuring.forecasting import Forecast, PlanesForecast, forecast
from transect.measuring.measure import measure
from transect.measuring.measurements import Comparison, Measurements
from transect.measuring.models import Checkpoints, checkpoints

__all__ = [
    "Checkpoints",
    "Comparison",
    "Forecast",
    "Measurements",
    "PlanesForecast",
    "checkpoints",
    "forecast",
    "measure",
]
