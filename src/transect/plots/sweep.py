"""Every measure and baseline beside the test error: which of them rise and fall with it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from transect.analysis.peaks import descent_peak
from transect.errors import InvalidInput
from transect.plots.style import (
    BLUE,
    CROSSINGS,
    CYCLE,
    DEVIATION,
    FLIPS,
    GREEN,
    INK,
    ORANGE,
    TEST,
    TRAIN,
    Look,
    caption,
    draw_curve,
    draw_positions,
    draw_threshold,
    house_style,
    legend_above,
    ring_peak,
    start_at_zero,
)
from transect.tables.curves import Curves, rows_of_split
from transect.tables.files import as_table
from transect.tables.grouping import Group, along, distinct, sweeps
from transect.tables.names import BASELINES, count_column, describe, name_of, setting_name, walked, with_values

MOST_LINES = 24
_COLUMNS = ("absolute_deviation", "train_error", "test_error")
_MARKERS = "osD^vPX*"
_DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 2)), (0, (6, 2, 1, 2)))
_DEVIATION = "absolute deviation per path\n(logits \N{MULTIPLICATION SIGN} input length)"


def sweep_figure(
    table: pa.Table | str | os.PathLike[str],
    over: str = "width",
    *,
    split: str | None = None,
    title: str | None = None,
    note: str = "",
) -> Figure:
    """Draw a sweep: does the nonlinearity follow the test error, and does the density?

    Absolute deviation and crossings per path (flips where the table has estimates, which show no crossings), train and
    test error; means over seeds, shaded by one sample standard deviation over seeds to either side. Rings mark the
    peaks of deviation and test error. One sweep has deviation (left axis, solid) and crossings (right axis, dashed) in
    one panel, and the interpolation threshold as a vertical line: the first position whose mean train error is below
    1 %. Of several sweeps, such as label noises or models, each is a line, told in the legend.

    Args:
        table: Run table of a study (``transect.study.columns.RUN_SCHEMA``), or the path of its Parquet file.
        over: ``"width"``, ``"epoch"``, or another column of numbers that varies.
        split: Split around whose samples the paths are; every row where None.
        title: What to write on top; made from the table where None.
        note: What to write below, after which paths were walked.

    Returns:
        The figure; ``figure.savefig(path)`` or :func:`transect.plots.render` turns it into a file.

    Raises:
        InvalidInput: If the table cannot be read, lacks columns, rows, positions or seeds, or holds too many sweeps.
    """
    chosen = rows_of_split(as_table(table), split, [over, "seed", *_COLUMNS])
    counted, found = count_column(chosen), sweeps(chosen, over)
    if len(found) > MOST_LINES:
        names = "; ".join(sweep.label for sweep in found)
        raise InvalidInput(
            f"table: expected {MOST_LINES} sweeps at most in a figure, got {len(found)} ({names}); "
            "choose among them with transect.plots.select."
        )
    all_curves = [Curves.of(sweep.table, None, (*_COLUMNS, counted), over) for sweep in found]
    with house_style():
        figure = Figure(figsize=(7.2, 6.4 if len(found) == 1 else 8.0 + 0.1 * len(found)), layout="constrained")
        heading = _title(chosen, counted) if title is None else title
        figure.suptitle(heading, x=0.02, ha="left", fontweight="bold", parse_math=False)
        if len(found) == 1:
            _draw_one(figure, all_curves[0], counted, _model(chosen))
        else:
            _draw_lines(figure, found, all_curves, counted, over)
        caption(figure, _said(chosen, all_curves, over), note)
    return figure


def width_sweep(
    table: pa.Table | str | os.PathLike[str], *, split: str | None = "train", title: str | None = None
) -> Figure:
    """:func:`sweep_figure` over the width, paths around training samples."""
    return sweep_figure(table, "width", split=split, title=title)


def epoch_sweep(
    table: pa.Table | str | os.PathLike[str], *, split: str | None = "train", title: str | None = None
) -> Figure:
    """:func:`sweep_figure` over the epochs of the training, of a study that was measured after several."""
    return sweep_figure(table, "epoch", split=split, title=title)


def _draw_one(figure: Figure, curves: Curves, counted: str, model: str) -> None:
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.15, 1.0))
    _draw_nonlinearity(above, curves, counted)
    for column, look in (("test_error", TEST), ("train_error", TRAIN)):
        draw_curve(below, curves, column, look)
    ring_peak(below, curves, "test_error", TEST)
    _label_errors(below)
    legend_above(below)
    draw_positions(below, curves.positions, curves.over, model)
    draw_threshold((above, below), curves)
    figure.align_ylabels([above, below])


def _draw_nonlinearity(left: Axes, curves: Curves, counted: str) -> None:
    right = left.twinx()
    look = CROSSINGS if counted == "crossings" else FLIPS
    draw_curve(left, curves, "absolute_deviation", DEVIATION)
    draw_curve(right, curves, counted, look)
    ring_peak(left, curves, "absolute_deviation", DEVIATION)
    right.spines["right"].set_visible(True)
    left.set_zorder(right.get_zorder() + 1)  # the curve in question lies on top
    left.patch.set_visible(False)
    for axes, colour_of, label in ((left, DEVIATION, _DEVIATION), (right, look, _count_label(counted))):
        axes.set_ylabel(label, color=colour_of.color)
        axes.tick_params(axis="y", labelcolor=colour_of.color)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        start_at_zero(axes)
    legend_above(left, right)


def _draw_lines(figure: Figure, found: Sequence[Group], all_curves: Sequence[Curves], counted: str, over: str) -> None:
    panels = figure.subplots(3, 1, sharex=True)
    for curves, look in zip(all_curves, _looks(found), strict=True):
        shaded = len(found) <= len(panels)  # more shades lie over one another
        for axes, column in zip(panels, ("absolute_deviation", counted, "test_error"), strict=True):
            draw_curve(axes, curves, column, look, shaded=shaded)
        panels[2].plot(curves.positions, curves.mean("train_error"), color=look.color, linestyle=":", linewidth=1.2)
        for axes, column in ((panels[0], "absolute_deviation"), (panels[2], "test_error")):
            ring_peak(axes, curves, column, look)
    for axes, label in zip(panels, (_DEVIATION, _count_label(counted)), strict=False):
        axes.set_ylabel(label)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        start_at_zero(axes)
    _label_errors(panels[2])
    lines = (Line2D([], [], color=INK), Line2D([], [], color=INK, linestyle=":", linewidth=1.2))
    panels[2].legend(lines, ("test error", "train error"), loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    positions = sorted({position for curves in all_curves for position in curves.positions})
    models = {_model(sweep.table) for sweep in found}
    draw_positions(panels[2], positions, over, models.pop() if len(models) == 1 else "")
    handles, labels = panels[0].get_legend_handles_labels()
    columns = 1 if max(map(len, labels)) > 50 else 2 if max(map(len, labels)) > 22 else 3
    legend = panels[0].legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, handlelength=3.4
    )
    for text in legend.get_texts():  # names and values of settings, whatever signs are in them
        text.set_parse_math(False)
    figure.align_ylabels(panels)


def _looks(found: Sequence[Group]) -> list[Look]:
    """A look for each line: the setting with most values is told by colour, all others together by dashes."""
    names = sorted(found[0].values, key=lambda name: -len({sweep.values[name] for sweep in found}))
    keys = [sweep.values[names[0]] for sweep in found], [tuple(sweep.values[n] for n in names[1:]) for sweep in found]
    hues, dashes = (list(dict.fromkeys(each)) for each in keys)
    ramp = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(hues)))
    ordered = len(hues) > 2 and all(isinstance(hue, int | float) for hue in hues)
    colors = [matplotlib.colors.to_hex(color) for color in ramp] if ordered or len(hues) > len(CYCLE) else CYCLE
    looks = []
    for sweep, hue, dash in zip(found, *keys, strict=True):
        place = dashes.index(dash) if names[1:] else hues.index(hue)
        shape = _MARKERS[place % len(_MARKERS)], _DASHES[place % len(_DASHES)]
        looks.append(Look(sweep.label, colors[hues.index(hue)], *shape))
    return looks


def _count_label(counted: str) -> str:
    return "crossings per path" if counted == "crossings" else "flips per path (estimated)"


def _label_errors(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(7))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))
    axes.set_ylabel("error (%)")
    axes.margins(y=0.08)


def _model(table: pa.Table) -> str:
    models = distinct(table, "model")
    return str(models[0]) if len(models) == 1 else ""


def _title(table: pa.Table, counted: str) -> str:
    model, noises = _model(table), distinct(table, "label_noise")
    density = "density of regions" if counted == "crossings" else "flips"
    parts = [model.upper() if model.isalnum() else model] * bool(model)
    parts += [describe({"label_noise": noise}) for noise in noises if len(noises) == 1]
    return f"{', '.join(parts)}{': ' if parts else ''}nonlinearity, {density}, error"


def _said(table: pa.Table, all_curves: Sequence[Curves], over: str) -> str:
    seeds = sorted({len(curves.seeds) for curves in all_curves})
    span = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    of_seeds = "one seed" if seeds == [1] else f"mean ± one standard deviation over {span} seeds"
    changing = [f"{setting_name(name)} changes along" for name in along(table, over)]
    return "; ".join([walked(table), of_seeds, *changing, "rings: peaks"])


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
    (:func:`transect.analysis.peaks.descent_peak`).

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
