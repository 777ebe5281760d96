"""Models and weights by name. Files are data: nothing in them is unpickled or run."""

from transect.loading.models import Loaded, load_model
from transect.loading.weights import load_weights, read_weights

__all__ = ["Loaded", "load_model", "load_weights", "read_weights"]
