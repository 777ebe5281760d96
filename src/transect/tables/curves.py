"""The run table by width, epoch or another setting: one curve a column, one value a seed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transect.errors import InvalidInput
from transect.tables.files import as_table
from transect.tables.grouping import distinct, varying

INTERPOLATES = 0.01  # a network whose error on its training labels is below this interpolates them


@dataclass(frozen=True, eq=False)
class Curves:
    """Columns of a run table over width, epoch or another setting of numbers: ``P`` positions, ``K`` seeds.

    Attributes:
        split: Split around whose samples the paths are; empty where the rows are of several, or the table does not say.
        positions: Widths, epochs, ..., increasing.
        seeds: Seeds, increasing.
        values: Column name to its values, ``(P, K)`` float64.
        over: What the positions are: ``"width"``, ``"epoch"`` or another column of numbers.
    """

    split: str
    positions: tuple[float, ...]
    seeds: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]
    over: str = "width"

    @classmethod
    def of(
        cls,
        table: pa.Table | str | os.PathLike[str],
        split: str | None,
        columns: Sequence[str],
        over: str = "width",
    ) -> Curves:
        """Take columns of a run table apart by position and seed.

        Args:
            table: The run table of one sweep (see :func:`transect.plots.sweeps`), or the path of its Parquet file.
            split: Which split's rows; all rows where None.
            columns: Which columns.
            over: ``"width"``, ``"epoch"`` or another column of numbers.

        Returns:
            The curves.

        Raises:
            InvalidInput: If a column is not there, there are no rows of the split, a (position, seed) is missing or
                there twice (a table of several sweeps must be taken apart first), or a value is missing or no number.
        """
        chosen = rows_of_split(as_table(table), split, [over, "seed", *columns])
        rows = chosen.select(list(dict.fromkeys([over, "seed", *columns]))).to_pylist()
        positions, seeds = (tuple(sorted({row[name] for row in rows})) for name in (over, "seed"))
        _check_grid(rows, positions, seeds, over, varying(chosen, apart=(over, "seed")))
        _check_filled(rows, columns)
        values = {name: np.full((len(positions), len(seeds)), np.nan) for name in columns}
        for row in rows:
            place = positions.index(row[over]), seeds.index(row["seed"])
            for name in columns:
                values[name][place] = row[name]
        _check_finite(values)
        splits = distinct(chosen, "split")
        return cls(str(splits[0] or "") if len(splits) == 1 else "", positions, seeds, values, over)

    @property
    def widths(self) -> tuple[float, ...]:
        """The positions, of a sweep over width."""
        return self.positions

    def mean(self, column: str) -> NDArray[np.float64]:
        """Mean over seeds, ``(P,)``."""
        mean: NDArray[np.float64] = self.values[column].mean(axis=1)
        return mean

    def spread(self, column: str) -> NDArray[np.float64]:
        """Sample standard deviation over seeds, ``(P,)``; zero where there is one seed."""
        if len(self.seeds) == 1:
            return np.zeros(len(self.positions))
        spread: NDArray[np.float64] = self.values[column].std(axis=1, ddof=1)
        return spread

    def interpolation_threshold(self) -> float | None:
        """First position whose mean train error is below 1 %; None if there is none. Needs the column train_error."""
        below = np.flatnonzero(self.mean("train_error") < INTERPOLATES)
        return self.positions[below[0]] if len(below) else None


def rows_of_split(table: pa.Table, split: str | None, columns: Sequence[str]) -> pa.Table:
    """The rows of a split, of a table that has some columns.

    Args:
        table: The run table.
        split: Which split's rows; all rows where None.
        columns: Columns that must be there.

    Raises:
        InvalidInput: If one is not, or there are no such rows.
    """
    needed = [*columns, *(["split"] if split is not None else [])]
    if missing := [name for name in needed if name not in table.column_names]:
        raise InvalidInput(f"table: expected the columns {needed}; {missing} are not among {table.column_names}.")
    chosen = table if split is None else table.filter(pc.field("split") == split)
    if not len(chosen):
        found = distinct(table, "split") if "split" in table.column_names else []
        raise InvalidInput(f"split: the table has no rows of the split {split!r}; its splits are {found}.")
    return chosen


def _check_grid(
    rows: list[dict[str, Any]], positions: Sequence[float], seeds: Sequence[int], over: str, differing: Sequence[str]
) -> None:
    found = Counter((row[over], row["seed"]) for row in rows)
    if repeated := sorted(key for key, count in found.items() if count > 1):
        they = f" (they differ in {', '.join(differing)})" if differing else ""
        raise InvalidInput(
            f"table: expected one row for each ({over}, seed), got several for {repeated}. "
            f"If the table holds several studies or ways of measuring, choose the rows of one{they}."
        )
    if missing := [(position, seed) for position in positions for seed in seeds if (position, seed) not in found]:
        raise InvalidInput(f"table: expected every {over} with every seed; the ({over}, seed) {missing} are missing.")


def _check_filled(rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    for name in columns:
        empty = sum(row[name] is None for row in rows)
        if empty:
            raise InvalidInput(
                f"table: expected a number in every row of the column {name!r}, {empty} of {len(rows)} have none. "
                "Estimates give no crossings, density or slope similarity: choose another column, such as 'flips', or "
                "the rows of an exact measuring."
            )


def _check_finite(values: Mapping[str, NDArray[np.float64]]) -> None:
    for name, of_name in values.items():
        if not np.isfinite(of_name).all():
            raise InvalidInput(f"table: expected finite numbers in the column {name!r}, got {of_name.tolist()}.")
