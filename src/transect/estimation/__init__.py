"""Estimating instead of enumerating: the sampled twin of the engine."""

from transect.estimation.estimate import estimate
from transect.estimation.result import Estimate

__all__ = ["Estimate", "estimate"]
