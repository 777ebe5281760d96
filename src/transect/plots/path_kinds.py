"""How a measure is distributed over closed, open and random paths: empirical distribution functions."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from transect.errors import InvalidInput
from transect.plots.style import CYCLE, caption, house_style
from transect.tables.files import as_table
from transect.tables.grouping import KIND, Group, distinct, groups, path_kinds_of, varying
from transect.tables.names import name_of, walked

MOST_PANELS = 12
_IN_A_ROW = 3
_STYLES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))


def path_kinds(
    paths: pa.Table | str | os.PathLike[str],
    column: str = "absolute_deviation",
    *,
    title: str | None = None,
    note: str = "",
) -> Figure:
    """Draw the part of the paths whose measure is at most x, one line a kind of path, one panel a network.

    Kinds are told apart by colour and dashes; whatever varies but the kind of paths and the seed (label noise, width,
    split, ...) has a panel of its own. Paths of all seeds are drawn together, one line each.

    Args:
        paths: Path table, or rows of it, or the path of its Parquet file.
        column: The measure.
        title: What to write on top; made from the column where None.
        note: What to write below, after which paths were walked.

    Returns:
        The figure.

    Raises:
        InvalidInput: If a column is not there or a value is missing, or there are more than twelve panels.
    """
    table = as_table(paths)
    _check(table, column)
    panels = groups(table, varying(table, apart=(*KIND, "seed")))
    if len(panels) > MOST_PANELS:
        raise InvalidInput(
            f"paths: expected {MOST_PANELS} panels at most in a figure, got {len(panels)}: the rows differ in "
            f"{list(panels[0].values)}; choose among them with transect.plots.select."
        )
    kinds = list(path_kinds_of(table))
    columns = min(len(panels), _IN_A_ROW)
    lines = -(-len(panels) // columns)
    with house_style():
        figure = Figure(figsize=(max(6.4, 4.0 * columns), 1.1 + 2.9 * lines), layout="constrained")
        heading = f"{name_of(column).capitalize()} by kind of path" if title is None else title
        figure.suptitle(heading, x=0.01, ha="left", fontweight="bold", parse_math=False)
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes, panel in zip(grid.ravel(), panels, strict=False):
            _draw(axes, panel, column, kinds, table)
        _label(grid, column, len(panels))
        seeds = len(distinct(table, "seed"))
        said = "one seed" if seeds == 1 else f"one line for each of {seeds} seeds"
        caption(figure, f"{walked(table)}; {said}", note)
    return figure


def steps(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Empirical distribution function: sorted values ``(N,)``, and the part of them that is at most each."""
    return np.sort(values), np.arange(1, len(values) + 1) / len(values)


def _draw(axes: Axes, panel: Group, column: str, kinds: Sequence[str], whole: pa.Table) -> None:
    for name, rows in path_kinds_of(panel.table, whole).items():
        place = kinds.index(name)
        for index, network in enumerate(groups(rows, ["seed"])):
            x, y = steps(np.asarray(network.table[column].to_numpy(), dtype=np.float64))
            axes.step(
                x,
                y,
                where="post",
                color=CYCLE[place % len(CYCLE)],
                linestyle=_STYLES[place % len(_STYLES)],
                linewidth=1.4,
                label=name if index == 0 else None,
            )
    axes.set_title(panel.label, loc="left", fontsize=10.0, parse_math=False)


def _label(grid: NDArray[np.object_], column: str, panels: int) -> None:
    axes = grid.ravel()
    if all(line.get_xdata()[0] > 0 for panel in axes[:panels] for line in panel.get_lines()):
        axes[0].set_xscale("log")
    axes[0].set_ylim(0, 1.02)
    for panel in axes[panels:]:
        panel.set_visible(False)
    for row in grid:
        row[0].set_ylabel("part of the paths")
    for panel in grid[-1]:
        panel.set_xlabel(f"{name_of(column)} of a path")
    axes[0].legend(loc="best")


def _check(table: pa.Table, column: str) -> None:
    needed = ["kind", "around", "seed", column]
    if missing := [name for name in needed if name not in table.column_names]:
        raise InvalidInput(f"paths: expected the columns {needed}; {missing} are not among {table.column_names}.")
    if empty := table[column].null_count:
        raise InvalidInput(f"paths: expected a number in every row of the column {column!r}, {empty} have none.")
