"""The interpolation threshold: a vertical line, and its label where it covers no curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from transect.plots.curves import Curves
from transect.plots.style import INK

_LABEL_REACH = 0.16  # of the axis: how far the threshold's label extends to its right


def draw_threshold(panels: Sequence[Axes], curves: Curves) -> None:
    """Draw the first position at which the mean train error is below 1 %, if there is one.

    Args:
        panels: Where; the last one, with the errors, gets the label.
        curves: The sweep, with the columns train_error and test_error.
    """
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
    logs = np.log(curves.positions)
    reach = np.log(threshold) + np.linspace(0, _LABEL_REACH * (logs[-1] - logs[0]), 50)
    train, test = (np.interp(reach, logs, curves.mean(column)) for column in ("train_error", "test_error"))
    low, high, top = np.minimum(train, test).max(), np.maximum(train, test), axes.get_ylim()[1]
    between, above = (low, high.min()), (high.max(), top)
    return float(np.mean(max(between, above, key=lambda gap: gap[1] - gap[0])))
