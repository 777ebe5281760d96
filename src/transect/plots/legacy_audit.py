"""What each fault of the paper's released code does to a measure, and to its trend over width."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from transect.errors import InvalidInput
from transect.plots.style import CYCLE, INK, caption, draw_positions, house_style
from transect.tables.curves import Curves, rows_of_split
from transect.tables.files import as_table
from transect.tables.grouping import groups
from transect.tables.names import fault_name, name_of, walked

_MARKERS = "osD^vP"
_STYLES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))


def legacy_audit(
    table: pa.Table | str | os.PathLike[str],
    column: str = "absolute_deviation",
    *,
    split: str | None = "train",
    title: str | None = None,
    note: str = "",
) -> Figure:
    """Draw a measure with faults of the released code switched on against its right values.

    Above, the ratio to the right values, on a logarithmic axis, shaded from the smallest to the largest over seeds.
    Below, the measure relative to its own peak, the right values as a broad line: whether a fault changes the trend
    that a reader sees. Means over seeds.

    Args:
        table: Run table in which only ``legacy`` varies beside width and seed: rows with the right values (``""``) and
            rows with faults.
        column: The measure.
        split: Split around whose samples the paths are; every row where None.
        title: What to write on top; made from the column where None.
        note: What to write below, after which paths were walked.

    Returns:
        The figure.

    Raises:
        InvalidInput: If there are no right values or no faults, a width or seed is missing for one of them, a value is
            not positive, or columns are missing.
    """
    rows = rows_of_split(as_table(table), split, ["width", "seed", "legacy", column])
    curves = {
        str(group.values["legacy"]): Curves.of(group.table, None, (column,)) for group in groups(rows, ["legacy"])
    }
    right, faults = _right_and_faults(curves, column)
    with house_style():
        figure = Figure(figsize=(7.2, 5.6 + 0.2 * len(curves)), layout="constrained")
        heading = f"Faults of the released code: {name_of(column)}" if title is None else title
        figure.suptitle(heading, x=0.02, ha="left", fontweight="bold", parse_math=False)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1.0))
        for place, (legacy, wrong) in enumerate(faults.items()):
            _draw_ratio(above, right, wrong, column, _called(legacy, faults), place)
            _draw_trend(below, wrong, column, place)
        below.plot(
            right.widths, _relative(right, column), color=INK, linewidth=5.0, alpha=0.3, zorder=0, label="right values"
        )
        _label(above, below, right)
        many = f"{len(right.seeds)} seed{'' if len(right.seeds) == 1 else 's'}"
        caption(figure, f"{walked(rows)}; shades: range over {many}", note)
    return figure


def _right_and_faults(curves: Mapping[str, Curves], column: str) -> tuple[Curves, dict[str, Curves]]:
    faults = {legacy: of_fault for legacy, of_fault in curves.items() if legacy}
    if "" not in curves or not faults:
        raise InvalidInput(
            f'table: expected rows with the right values (legacy "") and rows with faults, got {sorted(curves)}.'
        )
    right = curves[""]
    for legacy, wrong in faults.items():
        if (wrong.widths, wrong.seeds) != (right.widths, right.seeds):
            raise InvalidInput(
                f"table: expected the widths {right.widths} and seeds {right.seeds} of the right values with "
                f"{legacy!r} too, got {wrong.widths} and {wrong.seeds}."
            )
    if any((each.values[column] <= 0).any() for each in curves.values()):
        raise InvalidInput(f"table: expected positive numbers in the column {column!r}, whose ratio is drawn.")
    return right, faults


def _called(legacy: str, faults: Iterable[str]) -> str:
    """A fault's name; that of all of them together would not fit."""
    alone = {fault for fault in faults if "+" not in fault}
    return "all together" if len(alone) > 1 and set(legacy.split("+")) == alone else fault_name(legacy)


def _draw_ratio(axes: Axes, right: Curves, wrong: Curves, column: str, label: str, place: int) -> None:
    ratios = wrong.values[column] / right.values[column]
    color = CYCLE[place % len(CYCLE)]
    if len(right.seeds) > 1:
        axes.fill_between(right.widths, ratios.min(1), ratios.max(1), color=color, alpha=0.2, linewidth=0)
    of_means = wrong.mean(column) / right.mean(column)
    axes.plot(right.widths, of_means, label=f"{label}: {_times(of_means)}", **_look(place))


def _times(ratios: NDArray[np.float64]) -> str:
    """From the smallest to the largest ratio; on the axis small ones cannot be read beside large ones."""
    low, high = (f"{ratio:.2g}" for ratio in (ratios.min(), ratios.max()))
    return f"\N{MULTIPLICATION SIGN} {low}" if low == high else f"\N{MULTIPLICATION SIGN} {low} to {high}"


def _draw_trend(axes: Axes, wrong: Curves, column: str, place: int) -> None:
    axes.plot(wrong.widths, _relative(wrong, column), **_look(place))


def _look(place: int) -> dict[str, Any]:
    return {
        "color": CYCLE[place % len(CYCLE)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": _STYLES[place % len(_STYLES)],
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
    }


def _relative(curves: Curves, column: str) -> NDArray[np.float64]:
    mean = curves.mean(column)
    return np.asarray(mean / mean.max())


def _label(above: Axes, below: Axes, right: Curves) -> None:
    above.set_yscale("log")
    above.axhline(1.0, color=INK, linewidth=5.0, alpha=0.3, zorder=0)
    above.set_ylabel("with the fault / right value")
    handles, labels = above.get_legend_handles_labels()
    black, name = below.get_legend_handles_labels()
    above.legend([*handles, *black], [*labels, *name], loc="lower left", bbox_to_anchor=(0.0, 1.0), handlelength=3.4)
    below.set_ylim(bottom=0)
    below.set_ylabel("relative to its own peak")
    draw_positions(below, right.positions, right.over)
