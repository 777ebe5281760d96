"""Which figures the tables of a study give."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
from matplotlib.figure import Figure

from transect.plots import (
    Group,
    epoch_sweep,
    groups,
    legacy_audit,
    measure_curves,
    path_kinds,
    select,
    sweeps,
    width_sweep,
)
from transect.plots.grouping import KIND, distinct, path_kinds_of, varying
from transect.plots.panels import MOST_COLUMNS

Named = tuple[str, Figure]


def study_figures(table: pa.Table, paths: pa.Table | None = None, title: str | None = None) -> dict[str, Figure]:
    """Draw every figure that the tables of a study give.

    Over width: ``width`` (a column for each label noise) and ``measures`` (one for each sweep); over epochs, where a
    study has several: ``epochs``; with faults of the released code beside the right values: ``legacy``; with several
    kinds of paths: ``kinds``. What else varies (split, model, method, ...) gives figures of its own.

    Args:
        table: Run table.
        paths: Path table; no figure of kinds of paths where None.
        title: Title of the figures over width and epochs; made from the table where None.

    Returns:
        Name to figure; the name, such as ``"width-train-split"``, does for a file.

    Raises:
        InvalidInput: If a table lacks columns or values, or a seed is missing at some width.
    """
    trained = trained_rows(table)
    found = [*_sweep_figures(trained, "width", title), *_measure_figures(trained)]
    found += [*_sweep_figures(table, "epoch", title), *_legacy_figures(trained)]
    if paths is not None:
        found += _kind_figures(trained_rows(paths))
    return dict(found)


def trained_rows(table: pa.Table) -> pa.Table:
    """The rows of trained networks; all rows where there are none of them."""
    return select(table, last=True) if True in distinct(table, "last") else table


def _sweep_figures(table: pa.Table, over: str, title: str | None) -> Iterator[Named]:
    drawn, name = (width_sweep, "width") if over == "width" else (epoch_sweep, "epochs")
    noises = ("label_noise",) if len(distinct(table, "label_noise")) <= MOST_COLUMNS else ()
    for group in groups(table, varying(table, apart=(over, "seed", "epoch", "last", *noises))):
        if all(len(distinct(sweep.table, over)) > 1 for sweep in sweeps(group.table, over)):
            yield _name(name, group), drawn(group.table, split=None, title=title)


def _measure_figures(table: pa.Table) -> Iterator[Named]:
    for sweep in sweeps(table):
        if len(distinct(sweep.table, "width")) > 1:
            yield _name("measures", sweep), measure_curves(sweep.table, split=None)


def _legacy_figures(table: pa.Table) -> Iterator[Named]:
    for group in groups(table, varying(table, apart=("width", "seed", "epoch", "last", "legacy"))):
        faults, widths = distinct(group.table, "legacy"), distinct(group.table, "width")
        if "" in faults and len(faults) > 1 and len(widths) > 1:
            yield _name("legacy", group), legacy_audit(group.table, split=None)


def _kind_figures(paths: pa.Table) -> Iterator[Named]:
    for group in groups(paths, varying(paths, apart=(*KIND, "seed", "label_noise", "epoch", "last"))):
        if len(path_kinds_of(group.table)) > 1:
            yield _name("kinds", group), path_kinds(group.table)


def _name(figure: str, group: Group) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", f"{figure} {group.label}".lower()).strip("-")
