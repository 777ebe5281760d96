"""Measures of a trace: one streaming reducer a file, exact, each with a bound on its rounding."""

from transect.measures.absolute_deviation import AbsoluteDeviation
from transect.measures.arc_length import ArcLength
from transect.measures.base import Ends, Reduced, Reducer, across_outputs
from transect.measures.centred_deviation import CentredDeviation
from transect.measures.crossings import Crossings
from transect.measures.deviation_norm import DeviationNorm
from transect.measures.linear_crossings import LinearCrossings
from transect.measures.slope_similarity import SlopeSimilarity
from transect.measures.variation import Variation

__all__ = [
    "AbsoluteDeviation",
    "ArcLength",
    "CentredDeviation",
    "Crossings",
    "DeviationNorm",
    "Ends",
    "LinearCrossings",
    "Reduced",
    "Reducer",
    "SlopeSimilarity",
    "Variation",
    "across_outputs",
    "default_reducers",
]


def default_reducers(ends: Ends) -> tuple[Reducer, ...]:
    """The measures of every trace."""
    return (
        Crossings(ends),
        LinearCrossings(ends),
        AbsoluteDeviation(ends),
        CentredDeviation(ends),
        DeviationNorm(ends),
        Variation(ends),
        ArcLength(ends),
        SlopeSimilarity(ends),
    )
