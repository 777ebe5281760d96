"""Activation patterns: at points, along segments, and the linear regions they belong to."""

from transect.patterns.bends import beyond_rounding, pieces_at
from transect.patterns.inequalities import Inequalities
from transect.patterns.pattern import Layout, Pattern
from transect.patterns.points import InputSpace, pattern_after, pattern_at, patterns_along
from transect.patterns.region import AffineMap, Region, region_at

__all__ = [
    "AffineMap", "Inequalities", "InputSpace", "Layout", "Pattern", "Region", "beyond_rounding",
    "pattern_after", "pattern_at",
    "patterns_along", "pieces_at", "region_at",
]  # fmt: skip
