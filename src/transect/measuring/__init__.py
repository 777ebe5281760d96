"""Many paths, many models: a table with one row a model and path."""

from transect.measuring.forecasting import Forecast, forecast
from transect.measuring.measure import measure
from transect.measuring.measurements import Comparison, Measurements
from transect.measuring.models import Checkpoints, checkpoints

__all__ = ["Checkpoints", "Comparison", "Forecast", "Measurements", "checkpoints", "forecast", "measure"]
