"""What a study leaves for people: the figure and the verdict, beside its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pyarrow as pa

from transect.plots import render, sweep_figure, sweeps
from transect.plots.grouping import distinct, path_kinds_of
from transect.plots.rendering import Format
from transect.storage.atomic import replacing, write_text
from transect.storage.tables import as_table, read_table, write_csv
from transect.study.columns import RUN_SCHEMA
from transect.study.figures import drawn_over, study_figures, trained_rows
from transect.study.statistics.claims import ClaimsVerdict
from transect.study.statistics.following import FEWEST, curves_table, follow_in, following_table
from transect.study.statistics.judging import judge_claims
from transect.study.statistics.kinds import compare_kinds

FIGURE, VERDICT = "figure", "verdict.txt"


def report_study(
    table: str | os.PathLike[str], folder: str | os.PathLike[str], title: str | None = None, note: str = ""
) -> ClaimsVerdict:
    """Judge a sweep over the width, draw its figure, and write both into a folder, each file atomically.

    Args:
        table: Parquet file of the run table, as :func:`transect.study.sweep.run_study` returns it.
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

    Figures (:func:`transect.study.figures.study_figures`) as PNG and SVG; ``claims.txt`` and ``claims.csv``, over the
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
