"""Finished rows, gathered in memory that is hardly more than a table's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from transect.measuring.chunks import Chunk
from transect.measuring.columns import SCHEMA
from transect.measuring.work import Row

_FRESH = 1024  # rows kept as dictionaries, which take ten times the memory, before they are packed


class Rows:
    """Rows of models and paths, each kept once."""

    def __init__(self) -> None:
        self._fresh: list[Row] = []
        self._packed: list[pa.Table] = []
        self._done: dict[str, set[int]] = {}

    def add(self, rows: Sequence[Row]) -> None:
        """Keep those rows that are not there yet."""
        for row in rows:
            done = self._done.setdefault(row["model"], set())
            if row["path"] not in done:
                done.add(row["path"])
                self._fresh.append(row)
        if len(self._fresh) >= _FRESH:
            self._pack()

    def has(self, model: str, positions: Collection[int]) -> bool:
        """Whether all these paths of a model are there."""
        return self._done.get(model, set()).issuperset(positions)

    def count(self, model: str) -> int:
        """Rows of a model."""
        return len(self._done.get(model, ()))

    def drop(self, model: str) -> None:
        """Forget the rows of a model."""
        self._pack()
        self._packed = [table.filter(pa.compute.not_equal(table["model"], model)) for table in self._packed]
        self._done.pop(model, None)

    def table(self) -> pa.Table:
        """All rows, in no order."""
        self._pack()
        return pa.concat_tables(self._packed) if self._packed else SCHEMA.empty_table()

    def __len__(self) -> int:
        return sum(map(len, self._done.values()))

    def _pack(self) -> None:
        if self._fresh:
            self._packed.append(pa.Table.from_pylist(self._fresh, schema=SCHEMA))
            self._fresh = []


def named(model: str, chunk: Chunk, rows: Sequence[Row]) -> list[Row]:
    """The rows of a model and chunk, with the columns that say whose they are."""
    return [
        {"model": model, "path": position, "path_name": name} | row
        for position, name, row in zip(chunk.positions, chunk.names, rows, strict=True)
    ]


def ordered(table: pa.Table, models: Mapping[str, int]) -> pa.Table:
    """The rows of some models, in their order and that of the paths."""
    pairs = zip(table["model"].to_pylist(), table["path"].to_pylist(), strict=True)
    keys = [(models[model], path, row) for row, (model, path) in enumerate(pairs) if model in models]
    return table.take(pa.array([row for *_, row in sorted(keys)], pa.int64())).combine_chunks()
