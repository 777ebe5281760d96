"""Models and weights by name. Files are data: nothing in them is unpickled or run."""

from transect.loading.models import Loaded, load_model
from transect.loading.weights import WEIGHTS_SUFFIXES, load_weights, read_weights

__all__ = ["WEIGHTS_SUFFIXES", "Loaded", "load_model", "load_weights", "read_weights"]
