"""Every measure and baseline beside the test error: which of them rise and fall with it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from transect.labels import BASELINES, name_of, with_values
from transect.plots.curves import Curves, rows_of_split
from transect.plots.drawing import draw_positions
from transect.plots.peaks import descent_peak
from transect.plots.style import BLUE, GREEN, ORANGE, caption, house_style
from transect.plots.words import setting_name, walked
from transect.storage.tables import as_table

_IN_A_ROW = 4
_COLOURS = (
    "over the {over}, first, last, and where the test error peaks; blue: measures, orange: baselines, "
    "green, dashed: test error"
)


def measure_curves(
    table: pa.Table | str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    *,
    split: str | None = "train",
    over: str = "width",
    title: str | None = None,
    note: str = "",
) -> Figure:
    """Draw measures (blue) and baselines (orange), a small panel each, over the test error (green, dashed).

    Means over seeds, each curve relative to its own largest value. The vertical line is where the test error peaks
    (:func:`transect.plots.peaks.descent_peak`).

    Args:
        table: Run table of one sweep (:func:`transect.plots.sweeps`), or the path of its Parquet file.
        columns: Which columns; every measure and baseline that has a value in each row where None.
        split: Split around whose samples the paths are; every row where None.
        over: ``"width"`` or ``"epoch"``.
        title: What to write on top; a plain one where None.
        note: What to write below, after which paths were walked.

    Returns:
        The figure.

    Raises:
        InvalidInput: If the table cannot be read, holds several sweeps, or lacks columns, rows, positions or seeds.
    """
    rows = rows_of_split(as_table(table), split, [over, "seed", "test_error"])
    chosen = with_values(rows, columns)
    curves = Curves.of(rows, None, tuple(dict.fromkeys(("test_error", *chosen))), over)
    lines = -(-len(chosen) // _IN_A_ROW)
    with house_style():
        figure = Figure(figsize=(2.6 * _IN_A_ROW, 0.9 + 1.75 * lines), layout="constrained")
        heading = "Measures and baselines beside the test error, each relative to its largest value"
        figure.suptitle(heading if title is None else title, x=0.01, ha="left", fontweight="bold", parse_math=False)
        panels = figure.subplots(lines, _IN_A_ROW, sharey=True, squeeze=False).ravel()
        for axes, column in zip(panels, chosen, strict=False):
            _draw(axes, curves, column)
        for axes in panels[len(chosen) :]:
            axes.set_visible(False)
        caption(figure, f"{walked(rows)}; {_COLOURS.format(over=setting_name(over))}", note)
    return figure


def _draw(axes: Axes, curves: Curves, column: str) -> None:
    color = ORANGE if column in BASELINES else BLUE
    peak = descent_peak(curves.mean("test_error"))
    axes.axvline(curves.positions[peak], color=GREEN, linewidth=0.8, alpha=0.6, zorder=0)
    axes.plot(curves.positions, _relative(curves, "test_error"), color=GREEN, linestyle="--", linewidth=1.2)
    axes.plot(curves.positions, _relative(curves, column), color=color, marker="o", markersize=3.5)
    axes.set_title(name_of(column), loc="left", fontsize=9.5, color=color)
    draw_positions(axes, curves.positions, curves.over)
    _mark_ends(axes, curves)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.tick_params(labelsize=8)


def _mark_ends(axes: Axes, curves: Curves) -> None:
    """Label the first and last position and the peak only: the panels are small."""
    axes.set_xlabel("")
    peak = descent_peak(curves.mean("test_error"))
    marked = sorted({curves.positions[place] for place in (0, peak, -1)})
    axes.xaxis.set_major_locator(FixedLocator(marked))
    axes.set_xticks(marked, [f"{position:,g}" for position in marked])


def _relative(curves: Curves, column: str) -> NDArray[np.float64]:
    """The mean over seeds over its largest absolute value; zeros stay."""
    mean = curves.mean(column)
    scale = float(np.abs(mean).max())
    return np.asarray(mean / scale if scale else mean)
