"""The poster's figure: nonlinearity and density above, train and test error below, over the width of the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter

from transect.plots.curves import Curves, as_table
from transect.plots.style import BLUE, GREEN, INK, QUIET, VERMILION, house_style, legend_above

_COLUMNS = ("absolute_deviation", "crossings", "train_error", "test_error", "label_noise", "paths")
_WIDTH_LABELS = {
    "mlp": "base width (units in each hidden layer)",
    "cnn1d": "base width (channels of each convolution)",
}
_CHANNELS = "base width (channels of the first stage)"
_ROOM_FOR_A_LABEL = 0.035  # of the axis: labels of neighbouring widths that are closer would run into one another
_LABEL_REACH = 0.16  # of the axis: how far the threshold's label extends to its right


@dataclass(frozen=True)
class _Look:
    """How a curve is drawn: told apart by dashes and markers too, not by colour alone."""

    label: str
    color: str
    marker: str
    dashes: str = "-"


_DEVIATION = _Look("absolute deviation (left)", BLUE, "o")
_CROSSINGS = _Look("crossings per path (right)", VERMILION, "s", "--")
_TEST = _Look("test error", GREEN, "D")
_TRAIN = _Look("train error", QUIET, "v", "-.")


def width_sweep(table: pa.Table | str | os.PathLike[str], *, split: str = "train", title: str | None = None) -> Figure:
    """Draw a sweep over widths: does the nonlinearity follow the test error, and does the density?

    Above, absolute deviation (left axis, solid) and crossings per path (right axis, dashed); below, train and test
    error; means over seeds, shaded by one sample standard deviation over seeds to either side. Rings mark the peaks of
    deviation and test error. The vertical line is the interpolation threshold: the first width whose mean train error
    is below 1 %.

    Args:
        table: Run table of one study (``transect.storage.tables.RUN_SCHEMA``), or the path of its Parquet file.
        split: Split around whose samples the paths are.
        title: What to write on top; made from the table where None.

    Returns:
        The figure; ``figure.savefig(path)`` or :func:`transect.plots.render` turns it into a file.

    Raises:
        InvalidInput: If the table cannot be read, or lacks columns, rows, widths or seeds.
    """
    table = as_table(table)
    curves = Curves.of(table, split, _COLUMNS)
    model = str(table["model"][0].as_py()) if "model" in table.column_names else ""
    with house_style():
        figure = Figure(figsize=(7.2, 6.4), layout="constrained")
        figure.suptitle(_title(curves, model) if title is None else title, x=0.02, ha="left", fontweight="bold")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.15, 1.0))
        _draw_nonlinearity(above, curves)
        _draw_errors(below, curves)
        _draw_widths(below, curves.widths, model)
        _draw_threshold((above, below), curves)
        figure.align_ylabels((above, below))
        figure.supxlabel(_note(curves), x=0.02, ha="left", fontsize=8.5, color=QUIET)
    return figure


def _draw_nonlinearity(left: Axes, curves: Curves) -> None:
    right = left.twinx()
    _draw_curve(left, curves, "absolute_deviation", _DEVIATION)
    _draw_curve(right, curves, "crossings", _CROSSINGS)
    _ring_peak(left, curves, "absolute_deviation", _DEVIATION)
    right.spines["right"].set_visible(True)
    left.set_zorder(right.get_zorder() + 1)  # the curve in question lies on top
    left.patch.set_visible(False)
    for axes, look, label in (
        (left, _DEVIATION, "absolute deviation per path\n(logits \N{MULTIPLICATION SIGN} input length)"),
        (right, _CROSSINGS, "crossings per path"),
    ):
        axes.set_ylabel(label, color=look.color)
        axes.tick_params(axis="y", labelcolor=look.color)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_ylim(bottom=0)
    legend_above(left, right)


def _draw_errors(axes: Axes, curves: Curves) -> None:
    _draw_curve(axes, curves, "test_error", _TEST)
    _draw_curve(axes, curves, "train_error", _TRAIN)
    _ring_peak(axes, curves, "test_error", _TEST)
    axes.yaxis.set_major_locator(MaxNLocator(7))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))
    axes.set_ylabel("error (%)")
    axes.margins(y=0.08)
    legend_above(axes)


def _draw_curve(axes: Axes, curves: Curves, column: str, look: _Look) -> None:
    mean, spread = curves.mean(column), curves.spread(column)
    if len(curves.seeds) > 1:
        axes.fill_between(curves.widths, mean - spread, mean + spread, color=look.color, alpha=0.2, linewidth=0)
    style: dict[str, Any] = {"color": look.color, "linestyle": look.dashes, "marker": look.marker}
    axes.plot(curves.widths, mean, label=look.label, markeredgecolor="white", markeredgewidth=0.8, **style)


def _ring_peak(axes: Axes, curves: Curves, column: str, look: _Look) -> None:
    mean = curves.mean(column)
    peak = int(mean.argmax())
    axes.plot(
        curves.widths[peak], mean[peak], "o", markersize=13, color=look.color, fillstyle="none", markeredgewidth=1.2
    )


def _draw_widths(axes: Axes, widths: Sequence[int], model: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(list(widths)))
    labelled = _spaced(widths)
    axes.set_xticks(list(widths), [str(width) if width in labelled else "" for width in widths])
    axes.set_xlabel(_WIDTH_LABELS.get(model, _CHANNELS if model.startswith("resnet") else "base width"))


def _spaced(widths: Sequence[int]) -> set[int]:
    """Widths whose labels have room beside one another on a logarithmic axis: both ends, and what fits between."""
    room = _ROOM_FOR_A_LABEL * np.log(widths[-1] / widths[0])
    chosen = [widths[0]]
    for width in widths[1:-1]:
        if np.log(width / chosen[-1]) >= room and np.log(widths[-1] / width) >= room:
            chosen.append(width)
    return {*chosen, widths[-1]}


def _draw_threshold(panels: Sequence[Axes], curves: Curves) -> None:
    threshold = curves.interpolation_threshold()
    if threshold is None:
        return
    for axes in panels:
        axes.axvline(threshold, color=INK, linestyle=(0, (4, 3)), linewidth=1.0, zorder=0)
    panels[-1].annotate(
        "interpolation\nthreshold",
        (threshold, _free_height(panels[-1], curves, threshold)),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
    )


def _free_height(axes: Axes, curves: Curves, threshold: int) -> float:
    """Where a label to the right of the threshold is farthest from both curves: between them, or above."""
    logs = np.log(curves.widths)
    reach = np.log(threshold) + np.linspace(0, _LABEL_REACH * (logs[-1] - logs[0]), 50)
    train, test = (np.interp(reach, logs, curves.mean(column)) for column in ("train_error", "test_error"))
    low, high, top = np.minimum(train, test).max(), np.maximum(train, test), axes.get_ylim()[1]
    between, above = (low, high.min()), (high.max(), top)
    return float(np.mean(max(between, above, key=lambda gap: gap[1] - gap[0])))


def _title(curves: Curves, model: str) -> str:
    noise = float(curves.values["label_noise"].flat[0])
    what = f"{model.upper()}, " if model else ""
    return f"{what}{100 * noise:.0f} % label noise: nonlinearity, density of regions, error"


def _note(curves: Curves) -> str:
    paths, seeds = int(curves.values["paths"].flat[0]), len(curves.seeds)
    of_seeds = f"mean ± one standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    return f"{paths} paths around samples of the {curves.split} split; {of_seeds}; rings: peaks"
