"""Networks of two studies that are the same but for what the studies differ in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from transect.errors import StudyError
from transect.plots.grouping import distinct, identifying

_APART = ("study", "epoch", "last")
_ALWAYS_SHARED = ("width", "seed")
Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Pairing:
    """Rows of two run tables, partner by partner.

    Attributes:
        a: Rows of the one study that have a partner.
        b: Their partners, in the same order; what the studies differ in is as in ``a``, so that both fall apart into
            the same sweeps.
        differences: What they differ in: column name to the values of either.
        left_out: Rows of either study that have no partner.
    """

    a: pa.Table
    b: pa.Table
    differences: dict[str, tuple[list[Any], list[Any]]]
    left_out: tuple[int, int]


def pair(a: pa.Table, b: pa.Table) -> Pairing:
    """Find the partner of every row.

    Partners agree in width, seed, epoch and every other identifying column (label noise, kind of paths, ...) but those
    of which the studies have no value in common, such as ``batch_norm`` where one study has it and the other has not.
    Trained networks are partners whatever their last epoch is.

    Args:
        a: Run table of the one study.
        b: Of the other.

    Returns:
        The pairs.

    Raises:
        StudyError: If no row has a partner, or several rows of a study are alike in all these columns.
    """
    columns = [name for name in identifying(a) if name in identifying(b)]
    values = {name: (distinct(a, name), distinct(b, name)) for name in columns if name not in _APART}
    differences = {
        name: both for name, both in values.items() if name not in _ALWAYS_SHARED and not set(both[0]) & set(both[1])
    }
    shared = [name for name in values if name not in differences]
    rows_a, rows_b = (_keyed(table, shared, name) for table, name in ((a, "first"), (b, "second")))
    partners = [key for key in rows_a if key in rows_b]
    if not partners:
        found = {name: values[name] for name in (*differences, "width", "seed") if name in values}
        raise StudyError(
            f"expected networks that are in both studies, found none that agree in {shared}; values of either: {found}"
        )
    ours, theirs = (table.take([rows[key] for key in partners]) for table, rows in ((a, rows_a), (b, rows_b)))
    for name in (*differences, *(name for name in _APART if name in columns)):
        theirs = theirs.set_column(theirs.schema.get_field_index(name), name, ours[name])
    return Pairing(ours, theirs, differences, (len(a) - len(partners), len(b) - len(partners)))


def _keyed(table: pa.Table, shared: list[str], which: str) -> dict[Key, int]:
    moments = zip(*(_column(table, name) for name in ("last", "epoch")), strict=True)
    values = zip(*(_column(table, name) for name in shared), strict=True)
    keys = [(*key, None if last else epoch) for key, (last, epoch) in zip(values, moments, strict=True)]
    if repeated := [key for key, count in Counter(keys).items() if count > 1]:
        raise StudyError(
            f"expected one row of the {which} study for each {', '.join(shared)} and epoch; several have "
            f"{repeated[0]}. Choose the rows of one with select(table, run=...) or select(table, measuring=...)"
        )
    return {key: place for place, key in enumerate(keys)}


def _column(table: pa.Table, name: str) -> list[Any]:
    return table[name].to_pylist() if name in table.column_names else [None] * len(table)
