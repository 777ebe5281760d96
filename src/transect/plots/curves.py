"""The run table by width: one curve a column, one value a seed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from transect.errors import InvalidInput

INTERPOLATES = 0.01  # a network whose error on its training labels is below this interpolates them


@dataclass(frozen=True, eq=False)
class Curves:
    """Columns of a run table over width, for one split: ``W`` widths, ``K`` seeds.

    Attributes:
        split: Split the measures were taken on, ``"train"`` or ``"test"``.
        widths: Widths of the sweep, increasing.
        seeds: Seeds, increasing.
        values: Column name to its values, ``(W, K)`` float64.
    """

    split: str
    widths: tuple[int, ...]
    seeds: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, table: pa.Table | str | os.PathLike[str], split: str, columns: Sequence[str]) -> Curves:
        """Take columns of a run table apart by width and seed.

        Args:
            table: The run table, or the path of its Parquet file.
            split: Which split's rows.
            columns: Which columns.

        Returns:
            The curves.

        Raises:
            InvalidInput: If a column is not there, there are no rows of the split, a (width, seed) is missing or there
                twice (a table of several studies must be filtered first), or a value is not a number.
        """
        rows = _rows(as_table(table), split, columns)
        widths, seeds = (tuple(sorted({row[name] for row in rows})) for name in ("width", "seed"))
        _check_grid(rows, widths, seeds)
        values = {name: np.full((len(widths), len(seeds)), np.nan) for name in columns}
        for row in rows:
            place = widths.index(row["width"]), seeds.index(row["seed"])
            for name in columns:
                values[name][place] = row[name]
        _check_finite(values)
        return cls(split, widths, seeds, values)

    def mean(self, column: str) -> NDArray[np.float64]:
        """Mean over seeds, ``(W,)``."""
        return self.values[column].mean(axis=1)

    def spread(self, column: str) -> NDArray[np.float64]:
        """Sample standard deviation over seeds, ``(W,)``; zero where there is one seed."""
        if len(self.seeds) == 1:
            return np.zeros(len(self.widths))
        return self.values[column].std(axis=1, ddof=1)

    def interpolation_threshold(self) -> int | None:
        """First width whose mean train error is below 1 %; None if there is none. Needs the column train_error."""
        below = np.flatnonzero(self.mean("train_error") < INTERPOLATES)
        return self.widths[below[0]] if len(below) else None


def as_table(table: pa.Table | str | os.PathLike[str]) -> pa.Table:
    """A table as it is, or read from the Parquet file of the given path."""
    if isinstance(table, pa.Table):
        return table
    try:
        with pyarrow.parquet.ParquetFile(table) as file:
            return file.read()
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(f"table: expected a Parquet file, cannot read {os.fspath(table)}: {error}") from error


def _rows(table: pa.Table, split: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    needed = ["width", "seed", "split", *columns]
    if missing := [name for name in needed if name not in table.column_names]:
        raise InvalidInput(f"table: expected the columns {needed}; {missing} are not among {table.column_names}.")
    rows = table.select(needed).to_pylist()
    if not any(row["split"] == split for row in rows):
        found = sorted({row["split"] for row in rows})
        raise InvalidInput(f"split: the table has no rows of the split {split!r}; its splits are {found}.")
    return [row for row in rows if row["split"] == split]


def _check_grid(rows: list[dict[str, Any]], widths: Sequence[int], seeds: Sequence[int]) -> None:
    found = [(row["width"], row["seed"]) for row in rows]
    if repeated := sorted({key for key in found if found.count(key) > 1}):
        raise InvalidInput(
            f"table: expected one row for each (width, seed), got several for {repeated}. "
            "If the table holds several studies, choose the rows of one."
        )
    if missing := [(width, seed) for width in widths for seed in seeds if (width, seed) not in set(found)]:
        raise InvalidInput(f"table: expected every width with every seed; the (width, seed) {missing} are missing.")


def _check_finite(values: Mapping[str, NDArray[np.float64]]) -> None:
    for name, of_name in values.items():
        if not np.isfinite(of_name).all():
            raise InvalidInput(f"table: expected finite numbers in the column {name!r}, got {of_name.tolist()}.")
