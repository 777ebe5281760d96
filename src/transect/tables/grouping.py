"""Tables of a study taken apart: the rows of one sweep, and the sweeps that a table holds."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transect.errors import InvalidInput, did_you_mean
from transect.support.types import Cell
from transect.tables.names import describe, path_kind

IDENTIFYING = (
    "study",
    "data",
    "label_noise",
    "model",
    "batch_norm",
    "width",
    "seed",
    "variant",
    "epoch",
    "last",
    "kind",
    "around",
    "split",
    "samples",
    "legacy",
    "method",
    "way",
)
"""Columns that say for people what a row is about; those that a table does not have are passed over. Columns of
settings, called by their full name such as ``train.learning_rate``, say it too."""

KIND = ("kind", "around", "way")
"""Columns that make a kind of path."""

_TOLD_BY = {"variant": ("data.", "model.", "train."), "way": ("paths.", "measures.")}
_PRECISION = (
    "measures.first_paths",
    "measures.rtol",
    "measures.max_samples",
)  # only how precisely something is measured
_KINDS = {"closed": 0, "open": 1, "random": 2}


@dataclass(frozen=True, eq=False)
class Group:
    """Rows that agree in some columns.

    Attributes:
        values: Those columns, and their values; empty where the group is the whole table.
        table: The rows.
    """

    values: Mapping[str, Cell]
    table: pa.Table

    @property
    def label(self) -> str:
        """The values in words, such as ``"20 % label noise, no batch norm"``; empty where there are none."""
        return describe(self.values)


def select(table: pa.Table, **values: Cell | Collection[Cell]) -> pa.Table:
    """The rows in which columns have the given values.

    Args:
        table: Any table of a study.
        values: Column name to the value, or to a list, tuple or set of values of which it must be one; None for rows
            where it is empty.

    Returns:
        The rows, in their order.

    Raises:
        InvalidInput: If a column is not there, or no row has these values.
    """
    _need(table, tuple(values))
    if not values:
        return table
    chosen = table.filter(reduce(and_, (_fits(name, value) for name, value in values.items())))
    if not len(chosen):
        found = {name: distinct(table, name) for name in values}
        raise InvalidInput(f"table: expected rows with {values}, there are none; the values in the table are {found}.")
    return chosen


def groups(table: pa.Table, columns: Sequence[str]) -> tuple[Group, ...]:
    """Take a table apart: one group for each combination of values of some columns that it holds.

    Args:
        table: Any table of a study.
        columns: By which columns; with none of them, the whole table is one group.

    Returns:
        The groups, ordered by their values, the last column fastest; rows keep their order.

    Raises:
        InvalidInput: If a column is not there.
    """
    _need(table, columns)
    if not columns or not len(table):
        return (Group({}, table),)
    combinations = table.select(list(columns)).group_by(list(columns)).aggregate([]).to_pylist()
    ordered = sorted(combinations, key=lambda values: [_order(values[name]) for name in columns])
    return tuple(Group({name: values[name] for name in columns}, select(table, **values)) for values in ordered)


def sweeps(table: pa.Table, over: str = "width") -> tuple[Group, ...]:
    """Take a run table apart into sweeps: one for each combination of what varies beside ``over`` and the seed.

    What has one value for each value of ``over``, such as a learning rate that was chosen for each width, is part of
    the sweep (:func:`along`). Sweeps over settings hold trained networks, which may have stopped at different epochs,
    or all networks after the same epoch. Sweeps over epochs hold the epochs that every seed has: a training that
    stopped early ends at one of its own.

    Args:
        table: The run table, or rows of it.
        over: ``"width"``, ``"epoch"``, or another column of numbers, such as ``"model.arguments.depth"``.

    Returns:
        The sweeps; their values are those of the columns that vary.

    Raises:
        InvalidInput: If ``over`` is no column of numbers.
    """
    if over not in ("width", "epoch") and not _is_axis(table, over):
        valid = ", ".join(("width", "epoch", *(name for name in identifying(table) if _is_axis(table, name))))
        raise InvalidInput(f"over: expected a setting of numbers, one of {valid}, got {over!r}.")
    table = having(table, over)
    others = tuple(
        name for name in varying(table, apart=(over, "seed", "epoch", "last")) if not _follows_from(table, over, name)
    )
    if over == "epoch":
        return tuple(Group(group.values, _shared_epochs(group.table)) for group in groups(table, others))
    if "last" not in table.column_names:
        return groups(table, others)
    trained, before = (table.filter(pc.field("last") == last) for last in (True, False))
    found = groups(trained, others) if len(trained) else ()
    return (*found, *(groups(before, (*others, "epoch")) if len(before) else ()))


def _shared_epochs(table: pa.Table) -> pa.Table:
    """The rows of epochs that every seed has, each once where the last epoch was asked for by its number too."""
    seeds, epochs = table["seed"].to_pylist(), table["epoch"].to_pylist()
    lasts = table["last"].to_pylist() if "last" in table.column_names else [False] * len(table)
    by_number = {(seed, epoch) for seed, epoch, last in zip(seeds, epochs, lasts, strict=True) if not last}
    there = set(zip(seeds, epochs, strict=True))
    shared = {epoch for epoch in set(epochs) if all((seed, epoch) in there for seed in set(seeds))}
    return table.filter(
        pa.array(
            epoch in shared and not (last and (seed, epoch) in by_number)
            for seed, epoch, last in zip(seeds, epochs, lasts, strict=True)
        )
    )


def identifying(table: pa.Table) -> tuple[str, ...]:
    """The columns of a table that say what a row is about; those of settings in place of the texts that tell them."""
    settings = [name for name in table.column_names if "." in name and name not in _PRECISION]
    told = [text for text, sections in _TOLD_BY.items() if any(name.startswith(sections) for name in settings)]
    return (*(name for name in IDENTIFYING if name in table.column_names and name not in told), *settings)


def varying(table: pa.Table, apart: Collection[str] = ()) -> tuple[str, ...]:
    """The identifying columns with more than one value, those of ``apart`` left out; with ``variant`` or ``way`` also
    the settings that these tell."""
    sections = tuple(section for text in apart for section in _TOLD_BY.get(text, ()))
    there = [name for name in identifying(table) if name not in apart and not (sections and name.startswith(sections))]
    return tuple(name for name in there if len(distinct(table, name)) > 1)


def axes_of(table: pa.Table) -> tuple[str, ...]:
    """The settings of numbers that vary, over which curves can be drawn: the width, then those with most values."""
    several = {
        name: len(positions)
        for name in varying(table, apart=("seed", "epoch", "last"))
        if _is_axis(table, name) and len(positions := distinct(having(table, name), name)) > 1
    }
    return tuple(sorted(several, key=lambda name: (name != "width", -several[name])))


def axis_named(table: pa.Table, name: str) -> str:
    """The setting of numbers that goes by a name, with or without its section: ``"learning_rate"``.

    Raises:
        InvalidInput: If the table has none, or several.
    """
    valid = [each for each in (*axes_of(table), "epoch") if len(distinct(table, each)) > 1]
    found = [each for each in valid if name in (each, each.rpartition(".")[2])]
    if len(found) != 1:
        near = difflib.get_close_matches(name, [each.rpartition(".")[2] for each in valid], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InvalidInput(
            f"over: expected a swept setting of numbers, got {name!r}; {hint}it has {', '.join(valid) or 'none'}."
        )
    return found[0]


def along(table: pa.Table, over: str) -> tuple[str, ...]:
    """The settings that change along with the positions of a sweep."""
    if over not in table.column_names:
        return ()
    others = varying(table, apart=(over, "seed", "epoch", "last"))
    return tuple(name for name in others if not name.endswith("seed") and _follows_from(table, over, name))


def _is_axis(table: pa.Table, name: str) -> bool:
    if name not in table.column_names or name.endswith("seed") or table[name].null_count == len(table):
        return False
    return bool(pa.types.is_integer(table[name].type) or pa.types.is_floating(table[name].type))


def having(table: pa.Table, name: str) -> pa.Table:
    """The rows of networks that have a setting, such as a width; all rows where none has it."""
    if name not in table.column_names or table[name].null_count in (0, len(table)):
        return table
    return table.filter(pc.field(name).is_valid())


def _follows_from(table: pa.Table, over: str, name: str) -> bool:
    """Whether a column has one value for each position (for each seed, where it is another seed)."""
    of = "seed" if name.endswith("seed") else over
    if of not in table.column_names:
        return False
    return len(table.select([of, name]).group_by([of, name]).aggregate([])) == len(distinct(table, of))


def distinct(table: pa.Table, column: str) -> list[Cell]:
    """The different values of a column in order, None last; none where there is no such column."""
    if column not in table.column_names:
        return []
    return sorted(pc.unique(table[column]).to_pylist(), key=_order)


def path_kinds_of(table: pa.Table, among: pa.Table | None = None) -> dict[str, pa.Table]:
    """Rows by kind of path, :func:`path_kind`: closed, open, then others.

    Settings without a column (``way``, such as a radius) belong to the kind; its name has them where there are several.

    Args:
        table: The rows.
        among: All rows of the comparison, which decide on the names; the same where None.
    """
    there = [name for name in KIND if name in table.column_names]
    known = [group.values for group in groups(table if among is None else among, there)]
    plain = Counter(path_kind(str(each["kind"]), str(each["around"])) for each in known)
    found = {}
    for group in groups(table, there):
        name = path_kind(str(group.values["kind"]), str(group.values["around"]))
        way = group.values.get("way")
        found[f"{name}, {way}" if way and plain[name] > 1 else name] = group.table
    return {name: found[name] for name in sorted(found, key=_kind_order)}


def _kind_order(name: str) -> tuple[int, str]:
    return _KINDS.get(name.partition(",")[0], len(_KINDS)), name


def _fits(name: str, value: Any) -> pc.Expression:
    if isinstance(value, list | tuple | set | frozenset):
        return pc.field(name).isin(list(value))
    return pc.field(name).is_null() if value is None else pc.field(name) == value


def _order(value: Any) -> tuple[bool, Any]:
    return value is None, value if value is not None else 0


def _need(table: pa.Table, columns: Collection[str]) -> None:
    if missing := [name for name in columns if name not in table.column_names]:
        raise InvalidInput(
            f"table: expected the columns {list(columns)}; {missing} are not among {table.column_names}"
            f"{did_you_mean(missing[0], table.column_names)}."
        )
