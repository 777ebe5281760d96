"""Which figures the tables of a study give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_

import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from transect.plots import (
    Group,
    axes_of,
    groups,
    legacy_audit,
    measure_curves,
    networks_figure,
    path_kinds,
    select,
    sweep_figure,
    sweeps,
)
from transect.plots.grouping import KIND, along, distinct, having, path_kinds_of, varying
from transect.plots.networks import MOST_NETWORKS
from transect.plots.sweep_figure import MOST_LINES
from transect.plots.words import setting_name
from transect.study.statistics.following import FEWEST

Named = tuple[str, Figure]
_APART = ("split", "method", "legacy")  # a figure for each: they share no axis
_REPEATED = ("seed", "epoch", "last")


def study_figures(
    table: pa.Table, paths: pa.Table | None = None, title: str | None = None, note: str = "", over: str | None = None
) -> dict[str, Figure]:
    """Draw every figure that the tables of a study give.

    One for each swept setting of numbers (``width``, ``learning-rate``, ...), with a line for each combination of what
    else was swept; where there are several, those with three values or more. ``measures`` over the first of them, one
    for each sweep; over epochs, where a study has several: ``epochs``; with faults of the released code beside the
    right values: ``legacy``; with several kinds of paths: ``kinds``. Networks that have none of the settings drawn over
    (all, where none was swept) are one below the other: ``networks``. Splits and methods give figures of their own, and
    so does what would be too many lines over the first setting (over another, it is left for ``over``).

    Args:
        table: Run table.
        paths: Path table; no figure of kinds of paths where None.
        title: Title of the figures over settings and epochs; made from the table where None.
        note: What to write below every figure, after which paths were walked.
        over: The one setting to draw over; as above where None.

    Returns:
        Name to figure; the name, such as ``"width-train-split"``, does for a file. There is one at least.

    Raises:
        InvalidInput: If a table lacks columns or values, or a seed is missing at some position.
    """
    trained = trained_rows(table)
    axes = drawn_over(trained) if over is None else () if over == "epoch" else (over,)
    found = [named for axis in axes for named in _sweep_figures(trained, axis, title, note, crowded=axis == axes[0])]
    found += [named for axis in axes[:1] for named in _measure_figures(trained, axis, note)]
    if found and over is None:
        found += _network_figures(_without(trained, axes), title, note)
    if over in (None, "epoch"):
        found += _sweep_figures(table, "epoch", title, note)
    if over is None:
        found += _legacy_figures(trained, note)
    if paths is not None and over is None:
        found += _kind_figures(trained_rows(paths), note)
    return dict(found or _network_figures(trained, title, note))


def trained_rows(table: pa.Table) -> pa.Table:
    """The rows of trained networks; all rows where there are none of them."""
    return select(table, last=True) if True in distinct(table, "last") else table


def drawn_over(trained: pa.Table) -> tuple[str, ...]:
    """The settings that make the horizontal axis of a figure: those that make a curve; where none does, the first."""
    axes = axes_of(trained)
    axes = tuple(axis for axis in axes if axis not in along(trained, axes[0]))
    return tuple(axis for axis in axes if len(distinct(having(trained, axis), axis)) >= FEWEST) or axes[:1]


def _sweep_figures(table: pa.Table, over: str, title: str | None, note: str, crowded: bool = True) -> Iterator[Named]:
    table, name = having(table, over), "epochs" if over == "epoch" else setting_name(over)
    found = _groups(table, over, MOST_LINES)
    if not crowded and len(found) > len(_groups(table, over, len(table))):
        return
    for group in found:
        if any(len(distinct(sweep.table, over)) > 1 for sweep in sweeps(group.table, over)):
            yield _name(name, group), sweep_figure(group.table, over, title=title, note=note)


def _measure_figures(table: pa.Table, over: str, note: str) -> Iterator[Named]:
    for sweep in sweeps(table, over):
        if len(distinct(sweep.table, over)) > 1:
            yield _name("measures", sweep), measure_curves(sweep.table, split=None, over=over, note=note)


def _without(table: pa.Table, axes: Sequence[str]) -> pa.Table:
    """The rows of networks that have none of these settings, as some models have no width."""
    return table.filter(reduce(and_, (pc.field(axis).is_null() for axis in axes)))


def _network_figures(table: pa.Table, title: str | None, note: str) -> Iterator[Named]:
    for group in _groups(table, "", MOST_NETWORKS) if len(table) else ():
        yield _name("networks", group), networks_figure(group.table, title=title, note=note)


def _groups(table: pa.Table, over: str, most: int) -> tuple[Group, ...]:
    """The rows of each figure: apart by split, method and fault, and then by the settings with fewest values, until
    what is left makes at most so many lines."""
    others = varying(table, apart=(over, *along(table, over), *_REPEATED))
    left = sorted((name for name in others if name not in _APART), key=lambda name: -len(distinct(table, name)))
    while True:
        found = groups(table, [name for name in others if name not in left])
        if not left or max(len(groups(group.table, left)) for group in found) <= most:
            return found
        left.pop()


def _legacy_figures(table: pa.Table, note: str) -> Iterator[Named]:
    for group in groups(table, varying(table, apart=("width", "seed", "epoch", "last", "legacy"))):
        faults, widths = distinct(group.table, "legacy"), distinct(group.table, "width")
        if "" in faults and len(faults) > 1 and len(widths) > 1:
            yield _name("legacy", group), legacy_audit(group.table, split=None, note=note)


def _kind_figures(paths: pa.Table, note: str) -> Iterator[Named]:
    for group in groups(paths, varying(paths, apart=(*KIND, "seed", "label_noise", "epoch", "last"))):
        if len(path_kinds_of(group.table)) > 1:
            yield _name("kinds", group), path_kinds(group.table, note=note)


def _name(figure: str, group: Group) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", f"{figure} {group.label}".lower()).strip("-")
