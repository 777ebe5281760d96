"""What a study leaves for people: the figure and the verdict, beside its tables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from transect.analysis.claims import ClaimsVerdict
from transect.analysis.following import FEWEST, curves_table, follow_in, following_table
from transect.analysis.judging import judge_claims
from transect.analysis.kinds import compare_kinds
from transect.plots import legacy_audit, measure_curves, networks_figure, path_kinds, render, sweep_figure
from transect.plots.networks import MOST_NETWORKS
from transect.plots.style import Format
from transect.plots.sweep import MOST_LINES
from transect.study.columns import RUN_SCHEMA
from transect.tables.files import as_table, read_table, replacing, write_csv, write_text
from transect.tables.grouping import (
    KIND,
    Group,
    along,
    axes_of,
    distinct,
    groups,
    having,
    path_kinds_of,
    select,
    sweeps,
    varying,
)
from transect.tables.names import setting_name

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


FIGURE, VERDICT = "figure", "verdict.txt"


def report_study(
    table: str | os.PathLike[str], folder: str | os.PathLike[str], title: str | None = None, note: str = ""
) -> ClaimsVerdict:
    """Judge a sweep over the width, draw its figure, and write both into a folder, each file atomically.

    Args:
        table: Parquet file of the run table, as :func:`transect.study.running.sweep.run_study` returns it.
        folder: Where to write ``figure.png`` and ``figure.svg``, paths around training samples, and ``verdict.txt``.
        title: Title of the figure; made from the table where None.
        note: What to write below the figure, after which paths were walked.

    Returns:
        What it says about the claims of the paper.

    Raises:
        StudyError: If the table cannot be read.
    """
    folder, rows = Path(folder), read_table(table, RUN_SCHEMA)
    verdict, figure = judge_claims(rows), sweep_figure(rows, split="train", title=title, note=note)
    for file_format in get_args(Format):
        _write_bytes(folder / f"{FIGURE}.{file_format}", render(figure, file_format))
    write_text(folder / VERDICT, verdict.summary() + "\n")
    return verdict


def report_tables(
    table: pa.Table | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    paths: pa.Table | str | os.PathLike[str] | None = None,
    title: str | None = None,
    note: str = "",
    over: str | None = None,
) -> tuple[Path, ...]:
    """Write everything that the tables of any study say into a folder, each file atomically.

    Figures (:func:`transect.study.report.study_figures`) as PNG and SVG; ``claims.txt`` and ``claims.csv``, over the
    width or what else was swept; ``curves.csv`` and ``follows.csv``, means over seeds and what follows the test error,
    likewise, and ``epoch_curves.csv`` and ``epoch_follows.csv`` over epochs; ``kinds.txt`` and ``kinds.csv``, the tests
    between kinds of paths. Tables for which a study has not got the rows (three positions, two kinds of paths) are left
    out, and ``claims.txt`` says what it lacks.

    Args:
        table: Run table, or the path of its Parquet file.
        folder: Where to write.
        paths: Path table, or the path of its Parquet file; no tests between kinds of paths where None.
        title: Title of the figures over settings and epochs; made from the table where None.
        note: What to write below every figure, after which paths were walked.
        over: The one setting to draw and judge over; the width, or what else was swept, where None.

    Returns:
        The files.

    Raises:
        InvalidInput: If a table cannot be read, lacks columns or values, or a seed is missing at some position.
    """
    folder, rows = Path(folder), as_table(table)
    path_rows = None if paths is None else as_table(paths)
    files = [
        _write_bytes(folder / f"{name}.{file_format}", render(figure, file_format))
        for name, figure in study_figures(rows, path_rows, title, note, over).items()
        for file_format in get_args(Format)
    ]
    return (*files, *(_write(folder / name, contents) for name, contents in _findings(rows, path_rows, over)))


def _findings(rows: pa.Table, paths: pa.Table | None, over: str | None) -> Iterator[tuple[str, pa.Table | str]]:
    trained = trained_rows(rows)
    axis = over or (*drawn_over(trained), "epoch" if len(distinct(rows, "epoch")) > 1 else "width")[0]
    claims = judge_claims(rows if axis == "epoch" else trained, axis)
    yield from (("claims.txt", claims.summary() + "\n"), ("claims.csv", claims.table()))
    for each, chosen in {axis: trained, "epoch": rows}.items():
        long = [sweep for sweep in sweeps(chosen, each) if len(distinct(sweep.table, each)) >= FEWEST]
        if long:
            prefix = "" if each == axis else f"{each}_"
            yield f"{prefix}curves.csv", curves_table(chosen, over=each)
            yield f"{prefix}follows.csv", following_table([follow_in(sweep, over=each) for sweep in long])
    if paths is not None and len(path_kinds_of(trained_rows(paths))) > 1:
        tests = compare_kinds(trained_rows(paths))
        yield from (("kinds.txt", tests.summary() + "\n"), ("kinds.csv", tests.table()))


def _write(path: Path, contents: pa.Table | str) -> Path:
    if isinstance(contents, str):
        write_text(path, contents)
        return path
    return write_csv(contents, path)


def _write_bytes(path: Path, contents: bytes) -> Path:
    with replacing(path) as temporary:
        temporary.write_bytes(contents)
    return path
