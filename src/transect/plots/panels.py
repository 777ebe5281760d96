"""Nonlinearity and density above, train and test error below: one column of panels for each sweep."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from transect.errors import InvalidInput
from transect.labels import count_column
from transect.plots.curves import Curves, rows_of_split
from transect.plots.drawing import CROSSINGS, DEVIATION, FLIPS, TEST, TRAIN, draw_curve, draw_positions, ring_peak
from transect.plots.grouping import Group, distinct, sweeps
from transect.plots.style import QUIET, house_style, legend_above
from transect.plots.threshold import draw_threshold
from transect.plots.words import describe

MOST_COLUMNS = 4
_COLUMNS = ("absolute_deviation", "train_error", "test_error", "label_noise", "paths")


def sweep_panels(table: pa.Table, split: str | None, over: str, title: str | None, column_width: float = 7.2) -> Figure:
    """Draw every sweep of a run table in a column of its own, on the same vertical axes.

    Args:
        table: The run table, or rows of it.
        split: Which split's rows; all where None.
        over: ``"width"`` or ``"epoch"``.
        title: What to write on top; made from the table where None.
        column_width: Width of a column in inches.

    Returns:
        The figure.

    Raises:
        InvalidInput: If the table lacks columns, rows, positions or seeds, or holds more than four sweeps.
    """
    chosen = rows_of_split(table, split, [over, "seed", *_COLUMNS])
    counted, found = count_column(chosen), sweeps(chosen, over)
    if len(found) > MOST_COLUMNS:
        names = "; ".join(sweep.label for sweep in found)
        raise InvalidInput(
            f"table: expected {MOST_COLUMNS} sweeps at most in a figure, got {len(found)} ({names}); "
            "choose among them with transect.plots.select."
        )
    all_curves = [Curves.of(sweep.table, None, (*_COLUMNS, counted), over) for sweep in found]
    with house_style():
        size = (column_width + 0.8 * column_width * (len(found) - 1), 6.4)
        figure = Figure(figsize=size, layout="constrained")
        heading = _title(found, all_curves, counted) if title is None else title
        figure.suptitle(heading, x=0.02 / len(found), ha="left", fontweight="bold")
        grid = figure.subplots(2, len(found), sharex="col", squeeze=False, height_ratios=(1.15, 1.0))
        rights = [
            _draw_column(list(grid[:, place]), curves, counted, _model(sweep.table))
            for place, (sweep, curves) in enumerate(zip(found, all_curves, strict=True))
        ]
        if len(found) > 1:
            _join_columns([list(row) for row in grid], rights, found)
        for place, curves in enumerate(all_curves):
            draw_threshold(list(grid[:, place]), curves)
        figure.align_ylabels(list(grid[:, 0]))
        figure.supxlabel(_note(found, all_curves), x=0.02 / len(found), ha="left", fontsize=8.5, color=QUIET)
    return figure


def _draw_column(panels: Sequence[Axes], curves: Curves, counted: str, model: str) -> Axes:
    above, below = panels
    right = _draw_nonlinearity(above, curves, counted)
    _draw_errors(below, curves)
    draw_positions(below, curves, model)
    return right


def _draw_nonlinearity(left: Axes, curves: Curves, counted: str) -> Axes:
    right = left.twinx()
    look = CROSSINGS if counted == "crossings" else FLIPS
    draw_curve(left, curves, "absolute_deviation", DEVIATION)
    draw_curve(right, curves, counted, look)
    ring_peak(left, curves, "absolute_deviation", DEVIATION)
    right.spines["right"].set_visible(True)
    left.set_zorder(right.get_zorder() + 1)  # the curve in question lies on top
    left.patch.set_visible(False)
    for axes, colour_of, label in (
        (left, DEVIATION, "absolute deviation per path\n(logits \N{MULTIPLICATION SIGN} input length)"),
        (right, look, "crossings per path" if counted == "crossings" else "flips per path (estimated)"),
    ):
        axes.set_ylabel(label, color=colour_of.color)
        axes.tick_params(axis="y", labelcolor=colour_of.color)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_ylim(bottom=0)
    legend_above(left, right)
    return right


def _draw_errors(axes: Axes, curves: Curves) -> None:
    draw_curve(axes, curves, "test_error", TEST)
    draw_curve(axes, curves, "train_error", TRAIN)
    ring_peak(axes, curves, "test_error", TEST)
    axes.yaxis.set_major_locator(MaxNLocator(7))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))
    axes.set_ylabel("error (%)")
    axes.margins(y=0.08)
    legend_above(axes)


def _join_columns(grid: Sequence[Sequence[Axes]], rights: Sequence[Axes], found: Sequence[Group]) -> None:
    """Say what each column shows; one scale for all of them, with its numbers and name at the outer edges only."""
    for row in (*grid, rights):
        limits = [axes.get_ylim() for axes in row]
        for axes in row:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    for axes in (*grid[0][1:], *grid[1][1:], *rights[:-1]):
        axes.set_ylabel("")
        axes.tick_params(axis="y", labelleft=False, labelright=False)
    for axes, sweep in zip(grid[0], found, strict=True):
        axes.set_title(sweep.label, loc="left", pad=24)


def _model(table: pa.Table) -> str:
    return str(table["model"][0].as_py()) if "model" in table.column_names else ""


def _title(found: Sequence[Group], all_curves: Sequence[Curves], counted: str) -> str:
    models = {_model(sweep.table) for sweep in found}
    density = "density of regions" if counted == "crossings" else "flips"
    parts = [model.upper() for model in models if len(models) == 1 and model]
    noises = {float(value) for curves in all_curves for value in curves.values["label_noise"].flat}
    parts += [describe({"label_noise": round(noise, 2)}) for noise in noises if len(noises) == 1]
    return f"{', '.join(parts)}{': ' if parts else ''}nonlinearity, {density}, error"


def _note(found: Sequence[Group], all_curves: Sequence[Curves]) -> str:
    counts = sorted({int(value) for curves in all_curves for value in curves.values["paths"].flat})
    seeds = sorted({len(curves.seeds) for curves in all_curves})
    of_seeds = "one seed" if seeds == [1] else f"mean ± one standard deviation over {_range(seeds)} seeds"
    return f"{_range(counts)} paths {_around(found, all_curves)}; {of_seeds}; rings: peaks"


def _around(found: Sequence[Group], all_curves: Sequence[Curves]) -> str:
    if {value for sweep in found for value in distinct(sweep.table, "around")} == {"random"}:
        return "around random images"
    splits = {curves.split for curves in all_curves} - {""}
    return "around samples" + (f" of the {splits.pop()} split" if len(splits) == 1 else "")


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
