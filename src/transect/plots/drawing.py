"""How a curve over width, epoch or another setting is drawn, its peak marked, its axis labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from transect.plots.curves import Curves
from transect.plots.peaks import axis_of, is_logarithmic, rule_of
from transect.plots.style import BLUE, GREEN, INK, QUIET, VERMILION
from transect.plots.words import setting_name

_LABELS = {
    "epoch": "epoch",
    "label_noise": "label noise (part of the training labels)",
    "width mlp": "base width (units in each hidden layer)",
    "width cnn1d": "base width (channels of each convolution)",
}
_CHANNELS = "base width (channels of the first stage)"
_ROOM_FOR_A_LABEL = 0.035  # of the axis: labels of neighbouring widths that are closer would run into one another
_FEW_EPOCHS = 100  # from the first epoch to the last this many times: so few that 2 and 5 get a tick too
_LABEL_REACH = 0.16  # of the axis: how far the threshold's label extends to its right


@dataclass(frozen=True)
class Look:
    """How a curve is drawn: told apart by dashes and markers too, not by colour alone."""

    label: str
    color: str
    marker: str
    dashes: Any = "-"


DEVIATION = Look("absolute deviation (left)", BLUE, "o")
CROSSINGS = Look("crossings per path (right)", VERMILION, "s", "--")
FLIPS = Look("flips per path (right)", VERMILION, "s", "--")
TEST = Look("test error", GREEN, "D")
TRAIN = Look("train error", QUIET, "v", "-.")


def draw_curve(axes: Axes, curves: Curves, column: str, look: Look, *, shaded: bool = True) -> None:
    """Draw the mean over seeds, shaded by one standard deviation over seeds to either side."""
    mean, spread = curves.mean(column), curves.spread(column)
    if shaded and len(curves.seeds) > 1:
        axes.fill_between(curves.positions, mean - spread, mean + spread, color=look.color, alpha=0.2, linewidth=0)
    style: dict[str, Any] = {"color": look.color, "linestyle": look.dashes, "marker": look.marker}
    axes.plot(curves.positions, mean, label=look.label, markeredgecolor="white", markeredgewidth=0.8, **style)


def ring_peak(axes: Axes, curves: Curves, column: str, look: Look) -> None:
    """Draw a ring around the peak of the mean over seeds."""
    mean = curves.mean(column)
    peak = rule_of(column)(mean)
    ring: dict[str, Any] = {"markersize": 13, "fillstyle": "none", "markeredgewidth": 1.2, "clip_on": False}
    axes.plot(curves.positions[peak], mean[peak], "o", color=look.color, **ring)


def start_at_zero(axes: Axes) -> None:
    """Let the vertical axis begin at zero, with some room above the largest value."""
    axes.set_ylim(0, 1.08 * axes.dataLim.y1 or 1.0)


def draw_positions(axes: Axes, positions: Sequence[float], over: str, model: str = "") -> None:
    """Make the horizontal axis logarithmic where all positions are positive, with a tick at each of them, or at round
    epochs, and say what it shows.

    Args:
        axes: Where.
        positions: Of the sweep, increasing.
        over: What they are.
        model: Name of the model, which says what a width is.
    """
    axes.set_xscale("log" if is_logarithmic(positions) else "linear")
    axes.xaxis.set_minor_locator(NullLocator())
    if over == "epoch":
        few = positions[-1] <= _FEW_EPOCHS * positions[0]
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    else:
        axes.xaxis.set_major_locator(FixedLocator(list(positions)))
        labelled = _spaced(positions)
        axes.set_xticks(list(positions), [f"{each:g}" if each in labelled else "" for each in positions])
    axes.set_xlabel(axis_label(over, model))


def axis_label(over: str, model: str = "") -> str:
    """What an axis shows."""
    if over == "width":
        return _LABELS.get(f"width {model}", _CHANNELS if model.startswith("resnet") else "base width")
    return _LABELS.get(over, setting_name(over))


def draw_threshold(panels: Sequence[Axes], curves: Curves) -> None:
    """Draw the interpolation threshold, the first position at which the mean train error is below 1 %, if there is one.

    Args:
        panels: Where; the last one, with the errors, gets the label, where it covers no curve.
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


def _free_height(axes: Axes, curves: Curves, threshold: float) -> float:
    """Where a label to the right of the threshold is farthest from both curves: between them, or above."""
    places = axis_of(curves.positions)
    start = places[curves.positions.index(threshold)]
    reach = start + np.linspace(0, _LABEL_REACH * (places[-1] - places[0]), 50)
    train, test = (np.interp(reach, places, curves.mean(column)) for column in ("train_error", "test_error"))
    low, high, top = np.minimum(train, test).max(), np.maximum(train, test), axes.get_ylim()[1]
    between, above = (low, high.min()), (high.max(), top)
    return float(np.mean(max(between, above, key=lambda gap: gap[1] - gap[0])))


def _spaced(positions: Sequence[float]) -> set[float]:
    """Positions whose labels have room beside one another: both ends, and what fits between."""
    places: NDArray[np.float64] = axis_of(positions)
    room = _ROOM_FOR_A_LABEL * (places[-1] - places[0])
    chosen = [0]
    for place in range(1, len(places) - 1):
        if places[place] - places[chosen[-1]] >= room and places[-1] - places[place] >= room:
            chosen.append(place)
    return {positions[place] for place in (*chosen, -1)}
