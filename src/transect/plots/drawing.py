"""How a curve over width or epoch is drawn, its peak marked, its axis labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from transect.plots.curves import Curves
from transect.plots.peaks import rule_of
from transect.plots.style import BLUE, GREEN, QUIET, VERMILION

_WIDTH_LABELS = {
    "mlp": "base width (units in each hidden layer)",
    "cnn1d": "base width (channels of each convolution)",
}
_CHANNELS = "base width (channels of the first stage)"
_ROOM_FOR_A_LABEL = 0.035  # of the axis: labels of neighbouring widths that are closer would run into one another
_FEW_EPOCHS = 100  # from the first epoch to the last this many times: so few that 2 and 5 get a tick too


@dataclass(frozen=True)
class Look:
    """How a curve is drawn: told apart by dashes and markers too, not by colour alone."""

    label: str
    color: str
    marker: str
    dashes: str = "-"


DEVIATION = Look("absolute deviation (left)", BLUE, "o")
CROSSINGS = Look("crossings per path (right)", VERMILION, "s", "--")
FLIPS = Look("flips per path (right)", VERMILION, "s", "--")
TEST = Look("test error", GREEN, "D")
TRAIN = Look("train error", QUIET, "v", "-.")


def draw_curve(axes: Axes, curves: Curves, column: str, look: Look) -> None:
    """Draw the mean over seeds, shaded by one standard deviation over seeds to either side."""
    mean, spread = curves.mean(column), curves.spread(column)
    if len(curves.seeds) > 1:
        axes.fill_between(curves.positions, mean - spread, mean + spread, color=look.color, alpha=0.2, linewidth=0)
    style: dict[str, Any] = {"color": look.color, "linestyle": look.dashes, "marker": look.marker}
    axes.plot(curves.positions, mean, label=look.label, markeredgecolor="white", markeredgewidth=0.8, **style)


def ring_peak(axes: Axes, curves: Curves, column: str, look: Look) -> None:
    """Draw a ring around the peak of the mean over seeds."""
    mean = curves.mean(column)
    peak = rule_of(column)(mean)
    axes.plot(
        curves.positions[peak], mean[peak], "o", markersize=13, color=look.color, fillstyle="none", markeredgewidth=1.2
    )


def draw_positions(axes: Axes, curves: Curves, model: str = "") -> None:
    """Make the horizontal axis logarithmic, with a tick at every width, or at round epochs, and say what it shows.

    Args:
        axes: Where.
        curves: The sweep.
        model: Name of the model, which says what a width is.
    """
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    if curves.over == "epoch":
        _draw_epochs(axes, curves.positions)
        return
    widths = curves.positions
    axes.xaxis.set_major_locator(FixedLocator(list(widths)))
    labelled = _spaced(widths)
    axes.set_xticks(list(widths), [str(width) if width in labelled else "" for width in widths])
    axes.set_xlabel(_WIDTH_LABELS.get(model, _CHANNELS if model.startswith("resnet") else "base width"))


def _draw_epochs(axes: Axes, epochs: Sequence[int]) -> None:
    few = epochs[-1] <= _FEW_EPOCHS * epochs[0]
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("epoch")


def _spaced(widths: Sequence[int]) -> set[int]:
    """Widths whose labels have room beside one another on a logarithmic axis: both ends, and what fits between."""
    room = _ROOM_FOR_A_LABEL * np.log(widths[-1] / widths[0])
    chosen = [widths[0]]
    for width in widths[1:-1]:
        if np.log(width / chosen[-1]) >= room and np.log(widths[-1] / width) >= room:
            chosen.append(width)
    return {*chosen, widths[-1]}
