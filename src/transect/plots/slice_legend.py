"""Legends with headings, which flow like text above a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea, HPacker, TextArea, VPacker
from matplotlib.patches import Rectangle

from transect.plots.style import INK, QUIET

_KEY = (17.0, 8.0)  # points: width and height of a key
_DOT = 7.0  # points: width of a key that is a dot
_LETTER = 5.2  # points: what a letter is wide at most, on average


@dataclass(frozen=True)
class Keys:
    """Part of a legend.

    Attributes:
        heading: What is said in front.
        keys: How something looks (in a box of :data:`_KEY` points), and what it is.
    """

    heading: str = ""
    keys: Sequence[tuple[Artist, str]] = ()


def block(colour: Any) -> Artist:
    """A key for what is filled."""
    return Rectangle((0, 0), _KEY[0], _KEY[1], facecolor=colour, edgecolor=QUIET, linewidth=0.5)


def line_key(colour: Any, width: float) -> Artist:
    """A key for a line."""
    return Line2D([0, _KEY[0]], [_KEY[1] / 2] * 2, color=colour, linewidth=width)


def dot(colour: Any) -> Artist:
    """A key for a dot."""
    return Line2D([_DOT / 2], [_KEY[1] / 2], color=colour, marker="o", markersize=5.5, linestyle="")


def legend_above(axes: Axes, groups: Sequence[Keys], width: float) -> None:
    """Put a legend on top of axes, headings in front of what they are about, in as many rows as it needs.

    Args:
        axes: What it belongs to.
        groups: What it says, in this order.
        width: Of a row at most, in points.
    """
    rows, used, gap = list[list[Artist]]([[]]), 0.0, 10.0
    for group in (group for group in groups if group.keys):
        items = [_item(key, text, "" if number else group.heading) for number, (key, text) in enumerate(group.keys)]
        if used and used + sum(needed + gap for _, needed in items) > width:  # rather a row of its own than apart
            rows.append([])
            used = 0.0
        for item, needed in items:
            if used and used + needed > width:
                rows.append([])
                used = 0.0
            rows[-1].append(item)
            used += needed + gap
        rows[-1].append(DrawingArea(1, 1))
        used += gap
    packed: list[Artist] = [HPacker(children=row, align="center", pad=0, sep=gap) for row in rows if row]
    if packed:
        box = VPacker(children=packed, align="left", pad=0, sep=4)
        place: dict[str, Any] = {"bbox_to_anchor": (-0.012, 1), "bbox_transform": axes.transAxes}
        axes.add_artist(AnchoredOffsetbox("lower left", child=box, frameon=False, pad=0, borderpad=0.6, **place))


def _item(key: Artist, text: str, heading: str) -> tuple[Artist, float]:
    """A key with its text, and the heading in front if it is the first; and about how wide that is, in points."""
    area = DrawingArea(_DOT if isinstance(key, Line2D) and key.get_marker() == "o" else _KEY[0], _KEY[1])
    area.add_artist(key)
    parts: list[Artist] = [_words(heading, QUIET), DrawingArea(1, 1)] if heading else []
    item = HPacker(children=[*parts, area, _words(text, INK)], align="center", pad=0, sep=4)
    return item, area.width + 4 + _LETTER * len(heading + text)


def _words(text: str, colour: str) -> TextArea:
    return TextArea(text, textprops={"color": colour, "fontsize": 9.0, "parse_math": False})
