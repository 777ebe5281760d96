"""The table of rules: one line a family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from transect.rules import arithmetic, averages, constants, convolutions, hinges, linear_layers, normalisation, shapes
from transect.rules.base import Rule, merged

RULES: Mapping[str, Rule] = MappingProxyType(
    merged(
        linear_layers.RULES,
        convolutions.RULES,
        normalisation.RULES,
        arithmetic.RULES,
        shapes.RULES,
        averages.RULES,
        constants.RULES,
        hinges.RULES,
    )
)
