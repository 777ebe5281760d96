"""Many paths, many models: a table with one row a model and path."""

from transect.measuring.checkpoints import Checkpoints, checkpoints
from transect.measuring.comparing import Comparison
from transect.measuring.forecasting import Forecast, forecast
from transect.measuring.measure import measure
from transect.measuring.measurements import Measurements

__all__ = ["Checkpoints", "Comparison", "Forecast", "Measurements", "checkpoints", "forecast", "measure"]
