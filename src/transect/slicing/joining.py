"""The patches of a slice joined along their seams: one list of vertices, polygons and edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from transect.engine.plane.mesh import INSIDE, Bends, Floats, Ints, slices, starts_of
from transect.errors import TraceTooLarge
from transect.slicing.patches import Patch
from transect.support.text import size_in_memory

_LOOK = 128  # when this part of what may be held is held
SEAM = "borders end at different places on the two sides of a seam, to within rounding"


@dataclass(frozen=True)
class Joined:
    """A whole slice: ``V`` vertices, ``F`` polygons, ``H`` corners, ``E`` edges, in coordinates relative to the middle.

    Attributes:
        xy: Vertices, ``(V, 2)``.
        error: Stated bounds on their errors, ``(V,)``.
        outputs: Outputs there, ``(V, outputs)``.
        start: Where the corners of each polygon start, ``(F + 1,)``.
        corner: Vertex of every corner, ``(H,)``.
        low: One end of every edge, ``(E,)``.
        high: The other, ``(E,)``.
        left: Polygon on the left of the way from one to the other, ``(E,)``.
        right: The one on the right, or -1 for none, ``(E,)``.
        bends: What bends at every edge, one label an edge.
        seams: Where seams could not be joined, ``(n, 2)``.
    """

    xy: Floats
    error: Floats
    outputs: Floats
    start: Ints
    corner: Ints
    low: Ints
    high: Ints
    left: Ints
    right: Ints
    bends: Bends
    seams: Floats


class Keeper:
    """Gathers patches, and joins them.

    Args:
        most_bytes: What may be held; more is refused before it is allocated.
        ahead: Refuses what will not fit; called once, when so much is held that looking ahead takes no time beside.
    """

    def __init__(self, most_bytes: int, ahead: Callable[[], None] = lambda: None) -> None:
        self._most, self._held, self._ahead = most_bytes, 0, ahead
        self._parts: list[Patch] = []

    def update(self, patch: Patch) -> None:
        """Take a patch.

        Raises:
            TraceTooLarge: It would exceed the limit.
        """
        mesh = patch.mesh
        before = self._held
        self._held += bytes_of(len(mesh.xy), len(mesh.corner), patch.outputs.shape[1], len(patch.bends.unit))
        if before <= self._most // _LOOK < self._held:
            self._ahead()
        if self._held > self._most:
            raise TraceTooLarge(
                f'keep="all" would hold more than {size_in_memory(self._most)} of vertices, polygons and edges '
                f'(reached after {sum(map(len, self._parts)):,} regions). Use keep="measures" (exact, in bounded '
                "memory), a window of the plane, some outputs=[...], or raise max_bytes."
            )
        self._parts.append(patch)

    def joined(self) -> Joined:
        """All patches as one."""
        return _join(self._parts)


def bytes_of(vertices: int, corners: int, outputs: int, bends: int) -> int:
    """What is held at most while a slice of this size is joined."""
    return vertices * (48 + 16 * outputs) + corners * 150 + 72 * bends


def _join(parts: list[Patch]) -> Joined:
    vertices = starts_of(np.array([len(part.mesh.xy) for part in parts]))
    polygons = starts_of(np.array([len(part) for part in parts]))
    corners = starts_of(np.array([len(part.mesh.corner) for part in parts]))
    corner = np.concatenate([part.mesh.corner + first for part, first in zip(parts, vertices, strict=False)])
    following = np.concatenate([part.mesh.following + first for part, first in zip(parts, corners, strict=False)])
    polygon = np.concatenate([part.mesh.polygon + first for part, first in zip(parts, polygons, strict=False)])
    xy = np.concatenate([part.mesh.xy for part in parts])
    seam = np.concatenate([part.mesh.seam for part in parts])
    bends, bend = _labels(parts, "bends")
    beside, by = _labels(parts, "beside")
    edges = _inner_edges(parts, corners)
    left, right, lost = matched(seam, xy[corner], xy[corner[following]])
    # The same vertex on both sides of a seam is one.
    pairs = np.stack([corner[left], corner[following[right]]]), np.stack([corner[following[left]], corner[right]])
    number, count = _united(np.concatenate(pairs, axis=1), len(xy))
    first = np.full(count, len(xy), np.int64)
    np.minimum.at(first, number, np.arange(len(xy)))
    outside = np.flatnonzero((seam != INSIDE) & (seam < 0))
    alone = np.concatenate([outside, lost])
    one = np.concatenate([edges[0], left, alone])
    other = np.concatenate([polygon[edges[1]], polygon[right], np.full(len(alone), -1)])
    extra = _beside_changes(by[left], by[right], beside)
    label, bends = _edge_bends(bends, bend[one], len(edges[0]), extra)
    return Joined(
        xy[first],
        np.concatenate([part.mesh.error for part in parts])[first],
        np.concatenate([part.values for part in parts])[first],
        starts_of(np.concatenate([part.mesh.degree for part in parts])),
        number[corner],
        number[corner[one]],
        number[corner[following[one]]],
        polygon[one],
        other,
        bends.only(label),
        xy[corner[lost]],
    )


def _labels(parts: list[Patch], name: str) -> tuple[Bends, Ints]:
    """All labels of all patches in one numbering, and the label of every corner."""
    tables: list[Bends] = [getattr(part, name) for part in parts]
    first = starts_of(np.array([len(table) for table in tables]))
    label = np.concatenate(
        [
            np.where(getattr(part.mesh, name) < 0, -1, getattr(part.mesh, name) + offset)
            for part, offset in zip(parts, first, strict=False)
        ]
    )
    counts = np.concatenate([np.diff(table.start) for table in tables])
    columns = (np.concatenate([getattr(table, of) for table in tables]) for of in ("operation", "unit", "piece"))
    return Bends(starts_of(counts), *columns), label


def _inner_edges(parts: list[Patch], corners: Ints) -> tuple[Ints, Ints]:
    """A corner on either side of every edge inside a patch."""
    left, right = [], []
    for part, first in zip(parts, corners, strict=False):
        edges = part.mesh.edges
        two = edges.second >= 0
        left.append(edges.first[two] + first)
        right.append(edges.second[two] + first)
    return np.concatenate(left), np.concatenate(right)


def matched(seam: Ints, start: Floats, end: Floats) -> tuple[Ints, Ints, Ints]:
    """Edges on seams with what they are on the other side: corners on both sides, and those without another."""
    here = np.flatnonzero(seam >= 0)
    if len(here) == 0:
        return here, here, here
    number = np.unique(seam[here], return_inverse=True)[1]
    step = end[here] - start[here]
    # The longest edge of a seam says which way it goes.
    order = np.lexsort((-(step**2).sum(1), number))
    lead = order[np.concatenate([[True], np.diff(number[order]) > 0])]
    way = step[lead] / np.maximum(np.hypot(*step[lead].T), np.finfo(float).tiny)[:, None]
    origin = start[here][lead]
    ahead = (step * way[number]).sum(1) > 0
    middle = (((start[here] + end[here]) / 2 - origin[number]) * way[number]).sum(1)
    counts = [np.bincount(number[side], minlength=len(lead)) for side in (ahead, ~ahead)]
    equal = counts[0] == counts[1]
    sides = []
    for side in (ahead, ~ahead):
        chosen = np.flatnonzero(side & equal[number])
        sides.append(here[chosen[np.lexsort((middle[chosen], number[chosen]))]])
    return sides[0], sides[1], here[~equal[number]]


def _united(pairs: Ints, count: int) -> tuple[Ints, int]:
    graph = coo_array((np.ones(pairs.shape[1], bool), (pairs[0], pairs[1])), shape=(count, count))
    total, number = connected_components(graph, directed=False)
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    rank = np.empty(total, np.int64)
    rank[np.argsort(first)] = np.arange(total)
    return rank[inverse], total


def _beside_changes(left: Ints, right: Ints, beside: Bends) -> tuple[Ints, Ints, Ints]:
    """Units on different pieces beside the two sides of seams: number of the seam's edge, operation and unit."""
    some = np.flatnonzero((left >= 0) | (right >= 0))
    rows, operations, units, pieces = [], [], [], []
    for side in (left, right):
        with_label = some[side[some] >= 0]
        entries, entry = slices(beside.start, side[with_label])
        rows.append(with_label[entries.row])
        operations.append(beside.operation[entry])
        units.append(beside.unit[entry])
        pieces.append(beside.piece[entry])
    row, operation, unit, piece = (np.concatenate(part) for part in (rows, operations, units, pieces))
    # What both sides have with the same piece is the same on both.
    table = np.stack([row, operation, unit, piece])
    distinct, count = np.unique(table, axis=1, return_counts=True)
    changed = np.unique(distinct[:3, count == 1], axis=1)
    return changed[0], changed[1], changed[2]


def _edge_bends(bends: Bends, label: Ints, inner: int, extra: tuple[Ints, Ints, Ints]) -> tuple[Ints, Bends]:
    """Labels of all edges, -1 replaced by one of nothing, those of seams with what changes across them alone."""
    bends = bends.more(np.full(1, -1), np.zeros(0, np.int64), 0, np.zeros(0, np.int64))
    label = np.where(label < 0, len(bends) - 1, label)
    for operation in np.unique(extra[1]).tolist():
        here = extra[1] == operation
        edge, which = np.unique(extra[0][here], return_inverse=True)
        first = len(bends)
        bends = bends.more(label[inner + edge], which, operation, extra[2][here])
        label[inner + edge] = first + np.arange(len(edge))
    return label, bends
