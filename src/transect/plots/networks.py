"""Networks one below the other, where a study sweeps no setting of numbers: models, kinds of paths, or one network."""

from __future__ import annotations

import os
import textwrap

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from transect.errors import InvalidInput
from transect.plots.style import BLUE, FAINT, GREEN, QUIET, VERMILION, caption, house_style
from transect.tables.curves import rows_of_split
from transect.tables.files import as_table
from transect.tables.grouping import distinct, groups, varying
from transect.tables.names import count_column, describe, walked

MOST_NETWORKS = 40


def networks_figure(
    table: pa.Table | str | os.PathLike[str], *, split: str | None = None, title: str | None = None, note: str = ""
) -> Figure:
    """Draw a line of points for each network: absolute deviation, crossings (or flips), test and train error.

    Large points are means over seeds, small ones the seeds.

    Args:
        table: Run table, or rows of it, or the path of its Parquet file.
        split: Split around whose samples the paths are; every row where None.
        title: What to write on top; a plain one where None.
        note: What to write below, after which paths were walked.

    Returns:
        The figure.

    Raises:
        InvalidInput: If the table cannot be read, lacks columns or rows, or holds more than 40 networks.
    """
    chosen = rows_of_split(as_table(table), split, ["seed", "absolute_deviation", "train_error", "test_error"])
    counted = count_column(chosen)
    found = groups(chosen, varying(chosen, apart=("seed", "epoch", "last")))
    if len(found) > MOST_NETWORKS:
        raise InvalidInput(
            f"table: expected {MOST_NETWORKS} networks at most in a figure, got {len(found)}; choose among them with "
            "transect.plots.select."
        )
    names = [textwrap.fill(group.label or describe({"model": _only(group.table, "model")}), 40) for group in found]
    with house_style():
        figure = Figure(figsize=(9.6, 2.4 + 0.34 * len(found)), layout="constrained")
        heading = "Networks of the study" if title is None else title
        figure.suptitle(heading, x=0.02, ha="left", fontweight="bold", parse_math=False)
        panels = figure.subplots(1, 3, sharey=True)
        for place, group in enumerate(found):
            for axes, columns in zip(panels, (("absolute_deviation",), (counted,), ("test_error", "train_error"))):
                for column in columns:
                    _draw(axes, place, group.table, column)
        _label(panels, names, counted)
        seeds = len(distinct(chosen, "seed"))
        said = f"{walked(chosen)}; {'one seed' if seeds == 1 else f'large: mean over {seeds} seeds, small: each'}"
        caption(figure, said, note)
    return figure


def _only(table: pa.Table, column: str) -> str:
    return ", ".join(map(str, distinct(table, column))) or "network"


def _draw(axes: Axes, place: int, rows: pa.Table, column: str) -> None:
    values = np.asarray(rows[column].to_numpy(), dtype=np.float64)
    color = {"absolute_deviation": BLUE, "test_error": GREEN, "train_error": QUIET}.get(column, VERMILION)
    label = column.replace("_", " ") if place == 0 else None
    axes.plot(values, [place] * len(values), ".", color=color, alpha=0.5, markersize=5)
    marker = "v" if column == "train_error" else "D"
    axes.plot([values.mean()], [place], marker, color=color, markersize=7, label=label)


def _label(panels: np.ndarray, names: list[str], counted: str) -> None:
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    counts = "crossings per path" if counted == "crossings" else "flips per path (estimated)"
    for axes, label in zip(panels, ("absolute deviation per path", counts, "error (%)"), strict=True):
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
        axes.set_xlim(0, 1.08 * axes.dataLim.x1 or 1.0)
    panels[2].xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))
    panels[2].legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
