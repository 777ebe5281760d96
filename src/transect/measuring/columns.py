"""The columns of a table of measurements: one row a model and path."""

from __future__ import annotations

import pyarrow as pa

from transect.storage.tables import make_schema

BOUNDED = (
    "flips",
    "absolute_deviation",
    "mean_deviation",
    "normalised_deviation",
    "centred_deviation",
    "deviation_norm",
    "total_variation",
    "excess_variation",
    "arc_length",
)
"""Columns with two more beside them, ``*_low`` and ``*_high``: the rounding bound of an exact value, or the interval
that is stated for an estimate."""

_TEXT, _COUNT, _NUMBER, _TRUTH = pa.string(), pa.int64(), pa.float64(), pa.bool_()


def _bounded(name: str) -> tuple[tuple[str, pa.DataType], ...]:
    return tuple((column, _NUMBER) for column in (name, f"{name}_low", f"{name}_high"))


SCHEMA: pa.Schema = make_schema(
    ("model", _TEXT),
    ("path", _COUNT),
    ("path_name", _TEXT),
    ("method", _TEXT),
    ("segments", _COUNT),
    ("length", _NUMBER),
    ("crossings", _COUNT),
    ("anchor_crossings", _COUNT),
    ("path_crossings", _COUNT),
    ("linear_crossings", _COUNT),
    ("density", _NUMBER),
    *_bounded("flips"),
    *_bounded("absolute_deviation"),
    ("absolute_deviation_max", _NUMBER),
    *_bounded("mean_deviation"),
    ("mean_deviation_max", _NUMBER),
    *_bounded("normalised_deviation"),
    *_bounded("centred_deviation"),
    *_bounded("deviation_norm"),
    *_bounded("total_variation"),
    *_bounded("excess_variation"),
    *_bounded("arc_length"),
    ("slope_similarity", _NUMBER),
    ("output_std", _NUMBER),
    ("anchor_std", _NUMBER),
    ("samples", _COUNT),
    ("converged", _TRUTH),
    ("unresolved", _COUNT),
    ("seconds", _NUMBER),
    nullable=True,
)
"""Every column, in order. Empty where a method does not give it: samples show no crossings, a trace has no samples.

``path`` counts from 0; ``path_name`` is the name where paths were given by name, else the number as text. Measures
are those of the whole path: sums over its segments, across outputs the l2 norm of each segment (``*_max``: the
largest output of each). ``mean_deviation`` is the absolute deviation per unit of length, ``normalised_deviation``
that of outputs over their standard deviations, where ``measure`` was given a data set or these; ``output_std`` is the
root mean square of these over the outputs, ``anchor_std`` the same over the anchors of the path. ``crossings`` are
those inside of segments, ``path_crossings`` these and the anchor crossings, ``density`` crossings per unit of length,
``slope_similarity`` the mean over segments that have one. ``seconds`` is the time of the paths traced together, in
equal parts: the only column that differs from call to call.
"""

OF_SCALE = (
    "absolute_deviation",
    "absolute_deviation_max",
    "mean_deviation",
    "mean_deviation_max",
    "centred_deviation",
    "deviation_norm",
    "total_variation",
    "excess_variation",
    "arc_length",
)
"""Columns that are twice as large where the outputs are."""

NUMBERS = tuple(field.name for field in SCHEMA if field.type in (_COUNT, _NUMBER) and field.name != "path")
"""Columns of numbers that can be compared between models."""
