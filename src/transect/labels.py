"""What the columns of a run table are called, in tables for people and beside axes."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from transect.errors import InvalidInput

MEASURES = {
    "absolute_deviation": "absolute deviation",
    "scaled_deviation": "deviation / logit std",
    "mean_deviation": "mean absolute deviation",
    "centred_deviation": "centred deviation",
    "deviation_norm": "deviation norm",
    "total_variation": "total variation",
    "excess_variation": "excess variation",
    "arc_length": "arc length",
    "flips": "flips",
    "crossings": "crossings",
    "density": "density",
    "slope_similarity": "slope similarity",
}
"""Measures along paths, and their names."""

BASELINES = {
    "parameters": "parameters",
    "train_loss": "train loss",
    "logit_std": "logit std",
    "weight_norm": "weight norm",
}
"""What every study reports beside its measures: what a reader might take for their cause."""

NAMES = {
    **MEASURES,
    **BASELINES,
    "train_error": "train error",
    "validation_error": "validation error",
    "test_error": "test error",
    "test_loss": "test loss",
    "path_length": "path length",
    "anchor_crossings": "anchor crossings",
    "path_crossings": "crossings and anchor crossings",
    "linear_crossings": "linear crossings",
}
"""Columns of numbers and their names."""


def has_values(table: pa.Table, column: str) -> bool:
    """Whether a table has a column, and a value in each of its rows."""
    return column in table.column_names and table[column].null_count == 0


def name_of(column: str) -> str:
    """Name of a column for people; its own with spaces where it has no better one."""
    return NAMES.get(column, column.replace("_", " "))


def with_values(table: pa.Table, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Those columns that were asked for; by default every measure and baseline that has a value in each row.

    Raises:
        InvalidInput: If nothing was asked for, and there is none.
    """
    if columns is not None:
        return tuple(columns)
    found = tuple(column for column in (*MEASURES, *BASELINES) if has_values(table, column))
    if not found:
        raise InvalidInput(
            f"table: expected a measure or baseline with a value in every row, one of {[*MEASURES, *BASELINES]}; "
            f"none of the columns {table.column_names} is one."
        )
    return found


def count_column(table: pa.Table) -> str:
    """``crossings`` where a table has them; else ``flips``, which an estimate gives too."""
    return "flips" if has_values(table, "flips") and not has_values(table, "crossings") else "crossings"
