"""The lines of a slice: borders between regions, the decision boundary, and the outline of the domain."""

from __future__ import annotations

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba_array
from matplotlib.patches import Polygon
from scipy.ndimage import correlate1d

from transect.plots.raster import Floats, Ints, along_lines
from transect.plots.slice_colours import operation_colours
from transect.plots.slice_legend import Keys, line_key
from transect.plots.slice_regions import show
from transect.plots.slice_view import SIDE, View
from transect.plots.style import INK, QUIET

VECTOR_EDGES = 20_000  # drawn as such at most; more are pixels
_BOLD = 2.2  # points
_FULL = 0.3  # of a pixel is covered by lines on average, at most
_PLAIN = "#777777"


def draw_borders(axes: Axes, view: View) -> Keys:
    """Draw the borders between regions; what the legend says of them."""
    asked, slice = view.asked.borders, view.slice
    if asked is None:
        return Keys()
    edges, xy = slice.edges, slice.polygons.xy.numpy()
    left, right = edges.left.numpy(), edges.right.numpy()
    seen = np.zeros(len(view.cells), bool)
    seen[view.chosen] = True
    here = np.flatnonzero((right >= 0) & (seen[left] | seen[right]))
    begin, end = xy[edges.start.numpy()[here]], xy[edges.end.numpy()[here]]
    near = ((np.minimum(begin, end) <= view.high) & (np.maximum(begin, end) >= view.low)).all(1)
    here, begin, end = here[near], begin[near], end[near]
    if asked == "plain":
        depth, colours, names = np.zeros(len(here), np.int64), [_PLAIN], [""]
    else:
        depth = edges.depth.numpy()[here]
        colours, names = operation_colours(len(slice.operations)), list(slice.operations)
    width = float(np.clip(36 / np.sqrt(max(len(here), 1)), 0.35, 1.15))
    widths = width * np.linspace(1.25, 0.75, len(colours)) if len(colours) > 1 else np.array([width])
    if len(here) <= VECTOR_EDGES:
        for one in reversed(range(len(colours))):  # the earliest on top
            lines = np.stack([begin, end], 1)[depth == one]
            axes.add_collection(LineCollection(list(lines), colors=colours[one], linewidths=widths[one], zorder=2))
    else:
        _show_lines(axes, view, begin, end, depth, to_rgba_array(colours)[:, :3], widths)
    if asked == "plain":
        return Keys()
    present = view.present(depth, len(names))
    return Keys("border: bends first in", [(line_key(colours[one], 2.0), names[one]) for one in present])


def _show_lines(
    axes: Axes, view: View, begin: Floats, end: Floats, depth: Ints, colours: Floats, widths: Floats
) -> None:
    """Draw lines as pixels: of what they cover, as much as they cover of it, and less where they would cover all."""
    pixel = SIDE * 72 / max(view.grid.shape)  # points
    each = np.concatenate([np.ones((len(colours), 1)), colours], 1) * widths[:, None] / pixel
    sums = along_lines(begin, end, each[depth], view.grid)
    for axis in (0, 1):  # a line is sampled at whole pixels: without this it has steps
        sums = correlate1d(sums, [0.25, 0.5, 0.25], axis=axis, mode="constant")
    sums = sums.reshape(-1, 4)
    cover = sums[:, 0]
    mean = cover[cover > 0].mean() if cover.any() else 1.0
    opacity = np.clip(cover * min(1.0, _FULL / mean), 0, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        colour = np.where(cover[:, None] > 0, sums[:, 1:] / cover[:, None], 1.0)
    show(axes, view, np.concatenate([colour, opacity[:, None]], 1))


def draw_boundary(axes: Axes, view: View) -> Keys:
    """Draw the decision boundary; what the legend says of it."""
    whole = view.slice.boundary
    if not view.asked.boundary:
        return Keys()
    key = Keys("", [(line_key(INK, _BOLD), "decision boundary")])
    start, end = whole.start.numpy(), whole.end.numpy()
    near = ((np.minimum(start, end) <= view.high) & (np.maximum(start, end) >= view.low)).all(1)
    if not near.any():
        return key if view.film else Keys()
    parts = [part[np.flatnonzero(near)] for part in (whole.start, whole.end, whole.classes, whole.length)]
    lines = [line.numpy() for line in type(whole)(*parts).polylines()]
    bold = LineCollection(lines, colors=INK, linewidths=_BOLD, capstyle="round", joinstyle="round", zorder=3)
    bold.set_path_effects(
        [patheffects.Stroke(linewidth=_BOLD + 1.8, foreground="white", alpha=0.85), patheffects.Normal()]
    )
    bold.set_rasterized(len(lines) > VECTOR_EDGES)
    axes.add_collection(bold)
    return key


def draw_outline(axes: Axes, view: View) -> None:
    """Draw the border of the domain."""
    corners = view.slice.plane.corners.numpy()
    axes.add_patch(Polygon(corners, fill=False, edgecolor=QUIET, linewidth=0.9, zorder=4, clip_on=view.zoomed))
