"""Chords that go on past where they are borders are taken away again, and the polygons they part become one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from transect.engine.plane.arrangement import Cut
from transect.engine.plane.contests import at_base
from transect.engine.plane.mesh import Bends, Bools, Floats, Ints, Mesh, slices, starts_of
from transect.engine.plane.windows import WindowBending
from transect.errors import at_most


def without_false_borders(
    cut: Cut, bends: Bends, first_label: int, bending: WindowBending, mesh: Mesh, operation: int
) -> tuple[Cut, Bends]:
    """The cut without edges along which no winner changes.

    Args:
        cut: The mesh cut along all chords.
        bends: What its labels mean; those of cuts begin with ``first_label``.
        first_label: The first of these.
        bending: What was found at the operation.
        mesh: The mesh before.
        operation: Its index.

    Returns:
        The cut, and its labels.
    """
    contests, pairs = bending.contests, bending.pairs
    assert contests is not None
    assert pairs is not None
    crowded = (contests.wins.sum(1) > 2)[pairs.contest] if len(pairs.contest) else np.zeros(0, bool)
    if not crowded.any():
        return cut, bends
    chords = starts_of(np.bincount(cut.cut_of_chord, minlength=cut.cuts))
    unsure_cut = np.zeros(cut.cuts, bool)
    unsure_cut[cut.cut_of_chord[crowded[cut.chord_of_cut]]] = True
    edges = cut.mesh.edges
    label = cut.mesh.bends[edges.first] - first_label
    asked = np.flatnonzero((label >= 0) & unsure_cut[np.maximum(label, 0)])
    row, entry = slices(chords, label[asked])
    chord = cut.chord_of_cut[entry]
    true = ~crowded[chord] | _is_border(cut, edges.first[asked][row.row], chord, bending, mesh)
    keeps = np.zeros(len(asked), bool)
    keeps[row.row[true]] = True
    # Every edge in question has a label of its own now: what truly bends there.
    unit = bending.unit[chord[true]]
    key = np.unique(row.row[true] * (int(unit.max(initial=0)) + 1) + unit)
    owner, unit = np.divmod(key, int(unit.max(initial=0)) + 1)
    fresh = len(bends)
    bends = bends.more(np.full(len(asked), -1), owner, operation, unit)
    chords_of = _chords_of_labels(first_label, cut, row.row[true], chord[true], len(asked))
    labels = cut.mesh.bends.copy()
    for side in (edges.first, edges.second):
        labels[side[asked]] = fresh + np.arange(len(asked))
    false = np.zeros(len(edges.low), bool)
    false[asked[~keeps]] = True
    return _dissolved(replace(cut, mesh=replace(cut.mesh, bends=labels)), chords_of, false, len(mesh.xy)), bends


def _chords_of_labels(first_label: int, cut: Cut, owner: Ints, chord: Ints, fresh: int) -> Ints:
    """A number for every label: the same for cuts, and for edges with a label of their own, along the same chords."""
    old = np.arange(first_label)
    lists = Bends.empty().more(np.full(first_label, -1), old, 0, old)
    lists = lists.more(np.full(cut.cuts, -1), cut.cut_of_chord, 1, cut.chord_of_cut)
    return lists.more(np.full(fresh, -1), owner, 1, chord).contents()


def _is_border(cut: Cut, corner: Ints, chord: Ints, bending: WindowBending, mesh: Mesh) -> Bools:
    """Whether the two of a chord are the largest of their window in the middle of an edge along it.

    To within rounding: where a third is equal to them all along it, each of the three may seem a little smaller. It
    is a border even so, since the steepest of the three wins on one side, and the least steep on the other. In the
    middle of a polygon that is but rounding wide the winner would be anyone's.
    """
    contests, pairs = bending.contests, bending.pairs
    assert contests is not None
    assert pairs is not None
    contest = pairs.contest[chord]
    weights = (cut.weights[corner] + cut.weights[cut.mesh.following[corner]]) / 2
    base = at_base(contests, contest, mesh)
    values = np.einsum("np,npk->nk", weights, np.where(np.isfinite(base), base, 0))
    rows, i, j = np.arange(len(chord)), pairs.i[chord], pairs.j[chord]
    bound = bending.equal * np.maximum.reduceat(contests.bound, contests.start[:-1])[contest]
    own, reach = (values[rows, i] + values[rows, j]) / 2, np.maximum(bound[rows, i], bound[rows, j])
    larger = values - own[:, None]
    larger[~contests.wins[contest]] = larger[rows, i] = larger[rows, j] = -np.inf
    third = larger.argmax(1)
    excess = larger[rows, third]
    border: Bools = excess <= np.hypot(bound[rows, third], reach)  # each has its own rounding
    unsure = np.flatnonzero((excess > 0) & border)
    if len(unsure):
        border[unsure] = excess[unsure] <= _rounding_there(
            cut, corner[unsure], contest[unsure], np.stack([i, j, third])[:, unsure], bending
        )
    return border


def _rounding_there(cut: Cut, corner: Ints, contest: Ints, places: Ints, bending: WindowBending) -> Floats:
    """By how much the third of three numbers may exceed the others in the middle of an edge, from the values there."""
    contests, mesh = bending.contests, cut.mesh
    assert contests is not None
    assert bending.nearby is not None
    xy = (mesh.xy[mesh.corner[corner]] + mesh.xy[mesh.corner[mesh.following[corner]]]) / 2
    own, other, third = (bending.equal * bending.nearby(xy, contests.number[contest, place]) for place in places)
    found: Floats = np.hypot(third, np.maximum(own, other))
    return found


def _dissolved(cut: Cut, chords_of: Ints, false: Bools, old_vertices: int) -> Cut:
    """The cut without some edges, and without the vertices that nothing needs any more."""
    mesh, edges = cut.mesh, cut.mesh.edges
    gone = np.flatnonzero(false)
    pair = mesh.polygon[edges.first[gone]], mesh.polygon[edges.second[gone]]
    graph = coo_array((np.ones(len(gone), bool), pair), shape=(mesh.polygons,) * 2)
    _, whole = connected_components(graph, directed=False)
    whole = _in_order(whole)
    corners = _rings(mesh, whole, false)
    degree = np.bincount(whole[mesh.polygon[corners]], minlength=int(whole.max()) + 1)
    start = starts_of(degree)
    owner = np.repeat(np.arange(len(degree)), degree)
    parent = np.zeros(len(degree), np.int64)
    parent[whole] = cut.parent
    ring = Mesh(
        mesh.xy, mesh.error, start, mesh.corner[corners], mesh.bends[corners], mesh.seam[corners], mesh.beside[corners]
    )
    keep = ~_needless(ring, chords_of, old_vertices)
    degree = np.bincount(owner[keep], minlength=len(degree))
    ring = Mesh(
        mesh.xy,
        mesh.error,
        starts_of(degree),
        *(part[keep] for part in (ring.corner, ring.bends, ring.seam, ring.beside)),
    )
    kept = corners[keep]
    return replace(cut, mesh=ring, parent=parent, origin=cut.origin[kept], weights=cut.weights[kept])


def _in_order(whole: Ints) -> Ints:
    """Numbers of the wholes, in the order of their first parts."""
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _rings(mesh: Mesh, whole: Ints, false: Bools) -> Ints:
    """The corners on the borders of the wholes, each in turn, one whole after the other."""
    owner = whole[mesh.polygon]
    edge = mesh.edges.of_corner
    second = mesh.edges.second[edge]
    other = np.where(mesh.edges.first[edge] == np.arange(len(edge)), second, mesh.edges.first[edge])
    inside = false[edge] | ((other >= 0) & (owner == owner[np.maximum(other, 0)]))
    left = np.flatnonzero(~inside)
    key = owner[left] * len(mesh.xy) + mesh.corner[left]
    order = np.argsort(key, kind="stable")
    left, key = left[order], key[order]
    ahead = np.searchsorted(key, owner[left] * len(mesh.xy) + mesh.corner[mesh.following[left]])
    degree = np.bincount(owner[left], minlength=int(whole.max()) + 1)
    start = starts_of(degree)
    ring = np.empty(len(left), np.int64)
    now, going = start[:-1].copy(), np.arange(len(degree))
    for step in at_most(int(degree.max()) + 1, "corners of one polygon"):
        going = going[degree[going] > step]
        if len(going) == 0:
            break
        ring[start[going] + step] = left[now[going]]
        now[going] = ahead[now[going]]
    return ring


def _needless(mesh: Mesh, chords_of: Ints, old_vertices: int) -> Bools:
    """Corners at new vertices at which no third edge ends, between parts of one old edge or of the same chords."""
    previous = np.empty_like(mesh.following)
    previous[mesh.following] = np.arange(len(previous))
    vertices = len(mesh.xy)
    leaving = np.bincount(mesh.corner, minlength=vertices)
    on_border = np.zeros(vertices, bool)
    border = mesh.seam != -1
    on_border[mesh.corner[border]] = on_border[mesh.corner[mesh.following[border]]] = True
    label = np.append(chords_of, -1)[mesh.bends]
    differ = (label != label[previous]) | (mesh.seam != mesh.seam[previous])
    changes = np.bincount(mesh.corner[differ], minlength=vertices) > 0
    needless = (leaving == np.where(on_border, 1, 2)) & ~changes
    needless[:old_vertices] = False
    return needless[mesh.corner]
