"""What the figures share: colours that colour-blind readers can tell apart, type and lines that survive a README."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
