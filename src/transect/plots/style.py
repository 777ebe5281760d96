"""What the figures share: colours that colour-blind readers can tell apart, type and lines that survive a README."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from transect.analysis.peaks import axis_of, is_logarithmic, rule_of
from transect.errors import check_one_of
from transect.tables.curves import Curves
from transect.tables.names import setting_name

# Okabe and Ito, "Color universal design" (2008), in an order in which neighbours also differ in lightness.
BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)
INK, QUIET, FAINT = "#222222", "#666666", "#D9D9D9"

_SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 10.0,
    "axes.titlesize": 12.0,
    "axes.labelsize": 10.0,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2.0,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "transect",  # the ids in an SVG are then the same in every process
}


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's own defaults and the settings above, whatever the user's ``matplotlibrc`` says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)  # type: ignore[arg-type]  # its stub knows only literal keys
        yield


def caption(figure: Figure, *parts: str) -> None:
    """Write below a figure, each part from a new line, wrapped to its width; it becomes higher by that.

    Args:
        figure: A figure that lays itself out (``layout="constrained"``).
        parts: What to write; empty ones are passed over.
    """
    text = "\n".join(filter(None, parts))
    said = figure.supxlabel(text, x=0.02, ha="left", fontsize=8, color=QUIET, wrap=True)
    figure.set_figheight(figure.get_figheight() + said.get_window_extent().height / figure.dpi)


def legend_above(axes: Axes, *others: Axes) -> None:
    """Put one legend for several axes in a row on top of the first, where it covers nothing."""
    handles, labels = [], []
    for each in (axes, *others):
        more_handles, more_labels = each.get_legend_handles_labels()
        handles += more_handles
        labels += more_labels
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=max(1, len(labels)),
        borderaxespad=0.3,
        borderpad=0.2,
        handlelength=3.4,
        columnspacing=1.6,
    )


Format = Literal["png", "svg"]
_DOTS_PER_INCH = 160
_UNDATED: dict[Format, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def render(figure: Figure, file_format: Format) -> bytes:
    """Draw a figure to the bytes of an image file.

    Equal figures give equal bytes (one version of matplotlib, one machine): no date, no version, fixed ids.

    Args:
        figure: What to draw.
        file_format: ``"png"`` (160 dots an inch) or ``"svg"`` (text as outlines, so that it looks alike everywhere).

    Returns:
        Contents of the file.

    Raises:
        InvalidInput: If the format is another one.
    """
    check_one_of("file_format", file_format, get_args(Format))
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=file_format, dpi=_DOTS_PER_INCH, metadata=_UNDATED[file_format])
    return buffer.getvalue()


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
