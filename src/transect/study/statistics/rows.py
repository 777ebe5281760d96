"""Rows of results as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from transect.confidence import Estimate


def to_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table: columns in the order in which they first appear, empty where a row has none or it is NaN."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [_defined(row.get(name)) for row in rows] for name in names})


def columns_of(name: str, found: Estimate) -> dict[str, float | None]:
    """An estimate as three columns, ``name``, ``*_low`` and ``*_high``; the last two empty where it has no interval."""
    low, high = found.interval or (None, None)
    return {name: found.value, f"{name}_low": low, f"{name}_high": high}


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
