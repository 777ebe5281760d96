"""The table of rules: one line a family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from transect.rules import (
    arithmetic,
    averages,
    constants,
    convolutions,
    hinges,
    indexing,
    linear_layers,
    normalisation,
    padding,
    products,
    selections,
    shapes,
    upsampling,
    windows,
)
from transect.rules.base import Rule, merged

RULES: Mapping[str, Rule] = MappingProxyType(
    merged(
        linear_layers.RULES,
        convolutions.RULES,
        normalisation.RULES,
        normalisation.INSTANCE_RULES,
        arithmetic.RULES,
        shapes.RULES,
        indexing.RULES,
        padding.RULES,
        upsampling.RULES,
        products.RULES,
        selections.RULES,
        windows.RULES,
        averages.RULES,
        constants.RULES,
        hinges.RULES,
    )
)
