"""Models and weights by name. Files are data: nothing in them is unpickled or run."""

from transect.networks.files import WEIGHTS_SUFFIXES, load_weights, read_weights
from transect.networks.models import Loaded, load_model

__all__ = ["WEIGHTS_SUFFIXES", "Loaded", "load_model", "load_weights", "read_weights"]
