"""From polygons and lines to pixels, a million at a time: scan conversion with numpy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

NOTHING = -1  # covers a pixel
_TOGETHER = 1 << 19  # corners or samples that are looked at together
_SAMPLES = 2.0  # of a line in a pixel's width


@dataclass(frozen=True)
class Cells:
    """Convex polygons on shared vertices.

    Attributes:
        xy: Vertices, ``(V, 2)``.
        start: Where the corners of each polygon start, ``(F + 1,)``.
        corner: Vertex of every corner, counter-clockwise, ``(H,)``.
    """

    xy: Floats
    start: Ints
    corner: Ints

    def __len__(self) -> int:
        return len(self.start) - 1

    @cached_property
    def degree(self) -> Ints:
        """Corners of every polygon, ``(F,)``."""
        return np.diff(self.start)

    @cached_property
    def following(self) -> Ints:
        """Vertex at the end of the side that starts at every corner, ``(H,)``."""
        following = np.roll(self.corner, -1)
        following[self.start[1:] - 1] = self.corner[self.start[:-1]]
        return following

    def only(self, chosen: Ints) -> Cells:
        """Some of the polygons, on the same vertices."""
        start = np.concatenate([[0], np.cumsum(self.degree[chosen])])
        entry = np.arange(start[-1]) + np.repeat(self.start[chosen] - start[:-1], self.degree[chosen])
        return Cells(self.xy, start, self.corner[entry])

    def meeting(self, low: Floats, high: Floats) -> Ints:
        """Numbers of the polygons that have an inner point in common with a rectangle."""
        least, most = (
            np.stack([extreme.reduceat(self.xy[self.corner, axis], self.start[:-1]) for axis in (0, 1)], 1)
            for extreme in (np.minimum, np.maximum)
        )
        near = np.flatnonzero((least < high).all(1) & (most > low).all(1))
        beside = near[~((least[near] >= low) & (most[near] <= high)).all(1)]  # the others lie inside
        some = self.only(beside)
        begin, end = self.xy[some.corner], self.xy[some.following]
        step = end - begin
        # The corner of the rectangle that lies farthest to the left of a side.
        far = np.stack([np.where(step[:, 1] > 0, low[0], high[0]), np.where(step[:, 0] > 0, high[1], low[1])], 1)
        left = step[:, 0] * (far[:, 1] - begin[:, 1]) - step[:, 1] * (far[:, 0] - begin[:, 0]) > 0
        apart = np.zeros(len(self), bool)
        if len(beside):
            apart[beside] = ~np.logical_and.reduceat(left | (step == 0).all(1), some.start[:-1])
        return near[~apart[near]]


@dataclass(frozen=True)
class Grid:
    """Pixels of a rectangle; the first row is the lowest.

    Attributes:
        low: Its lower left corner, ``(2,)``.
        high: Its upper right corner, ``(2,)``.
        shape: Rows and columns.
    """

    low: Floats
    high: Floats
    shape: tuple[int, int]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top."""
        return float(self.low[0]), float(self.high[0]), float(self.low[1]), float(self.high[1])

    def pixels_of(self, xy: Floats) -> Floats:
        """In units in which the centre of the pixel in row i and column j is (j, i)."""
        found: Floats = (xy - self.low) / (self.high - self.low) * np.array(self.shape[::-1]) - 0.5
        return found

    def centres(self, place: Ints) -> Floats:
        """Centres of pixels, by their places in the flattened raster, ``(n, 2)``."""
        row, column = np.divmod(place, self.shape[1])
        parts: Floats = (np.stack([column, row], 1) + 0.5) / np.array(self.shape[::-1])
        found: Floats = self.low + parts * (self.high - self.low)
        return found


def covering(cells: Cells, grid: Grid) -> Ints:
    """Which polygon covers the centre of each pixel, :data:`NOTHING` where none does: ``(rows, columns)``.

    Polygons that share a side share its vertices, and where it meets a row of pixels is worked out in the same way for
    both: so of a division of the plane exactly one covers each centre, however thin they are.
    """
    rows, columns = grid.shape
    places = grid.pixels_of(cells.xy)
    found: list[tuple[Ints, Ints, Ints]] = []
    for first, last in _portions(cells.start, _TOGETHER):
        found.append(_spans(cells, places, grid.shape, first, last))
    polygon, begin, end = (np.concatenate(parts) for parts in zip(*found, strict=True))
    marks = np.full(rows * columns + 1, NOTHING - 1, np.int64)
    marks[np.where(end % columns == 0, rows * columns, end)] = NOTHING  # a row's end needs no mark
    marks[begin] = polygon  # after the ends: where one polygon ends the next may begin
    raster = marks[:-1].reshape(rows, columns)
    raster[:, 0] = np.maximum(raster[:, 0], NOTHING)
    marked = np.where(raster >= NOTHING, np.arange(columns), 0)
    return np.take_along_axis(raster, np.maximum.accumulate(marked, axis=1), axis=1)


def _spans(cells: Cells, places: Floats, shape: tuple[int, int], first: int, last: int) -> tuple[Ints, Ints, Ints]:
    """The pixels of some polygons: polygon, the first in a row, and the one after the last; flattened places."""
    rows, columns = shape
    part = slice(cells.start[first], cells.start[last])
    begin, end = places[cells.corner[part]], places[cells.following[part]]
    down = end[:, 1] < begin[:, 1]  # the left side of a polygon, which is counter-clockwise
    lower, upper = np.where(down[:, None], end, begin), np.where(down[:, None], begin, end)
    bottom, top = (np.clip(np.ceil(side[:, 1]), 0, rows).astype(np.int64) for side in (lower, upper))
    height = top - bottom
    side = np.flatnonzero(height)
    of_entry = np.repeat(side, height[side])
    row = np.arange(len(of_entry)) + np.repeat(bottom[side] - (np.cumsum(height[side]) - height[side]), height[side])
    a, b = lower[of_entry], upper[of_entry]
    across = a[:, 0] + (row - a[:, 1]) * ((b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1]))
    across = np.clip(across, np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 0], b[:, 0]))
    column = np.clip(np.ceil(across), 0, columns).astype(np.int64)
    owner = np.repeat(np.arange(first, last), cells.degree[first:last])[of_entry]
    key, left = owner * rows + row, down[of_entry]
    # In every row a polygon has as many sides to the left as to the right: a closed line goes up as often as down.
    ways = [np.flatnonzero(which) for which in (left, ~left)]
    lefts, rights = (way[np.argsort(key[way], kind="stable")] for way in ways)
    some = column[lefts] < column[rights]
    lefts, rights = lefts[some], rights[some]
    base = row[lefts] * columns
    return owner[lefts], base + column[lefts], base + column[rights]


def along_lines(begin: Floats, end: Floats, each: Floats, grid: Grid) -> Floats:
    """Sums over what lines have of every pixel: their length there, in widths of a pixel, times what each carries.

    Args:
        begin: Where each starts, ``(E, 2)``.
        end: Where it ends, ``(E, 2)``.
        each: What it carries, ``(E, K)``.
        grid: The pixels; what lies outside is left out.

    Returns:
        ``(rows, columns, K)``.
    """
    rows, columns = grid.shape
    begin, end = grid.pixels_of(begin), grid.pixels_of(end)
    length = np.hypot(*(end - begin).T)
    samples = np.maximum(np.ceil(length * _SAMPLES), 1).astype(np.int64)
    total = np.zeros((each.shape[1], rows * columns))
    for first, last in _portions(np.concatenate([[0], np.cumsum(samples)]), _TOGETHER):
        count = samples[first:last]
        line = np.repeat(np.arange(first, last), count)
        number = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
        share = ((number + 0.5) / samples[line])[:, None]
        column, row = np.rint(begin[line] + share * (end[line] - begin[line])).astype(np.int64).T
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        line, place = line[inside], (row * columns + column)[inside]
        part = length[line] / samples[line]
        for carried, sums in zip(each.T, total, strict=True):
            sums += np.bincount(place, part * carried[line], minlength=rows * columns)
    return np.moveaxis(total.reshape(-1, rows, columns), 0, 2)


def _portions(start: Ints, size: int) -> list[tuple[int, int]]:
    """Runs of whole items that hold about ``size`` entries together, each item's starting at ``start``."""
    cuts = np.searchsorted(start, np.arange(size, start[-1], size))
    ends = np.unique(np.concatenate([[0], cuts, [len(start) - 1]]))
    return [(int(one), int(other)) for one, other in pairwise(ends)]
