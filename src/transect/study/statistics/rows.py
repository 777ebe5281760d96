"""Rows of results as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa


def to_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table: columns in the order in which they first appear, empty where a row has none or it is NaN."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [_defined(row.get(name)) for row in rows] for name in names})


def ends(name: str, interval: Sequence[float] | None) -> dict[str, float | None]:
    """An interval as two columns, ``*_low`` and ``*_high``; empty where there is none."""
    low, high = interval if interval is not None else (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
