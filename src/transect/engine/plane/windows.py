"""One bending operation that takes the largest number of every window, at the vertices of a mesh.

On a polygon every number of a window is affine: whoever is largest at all corners wins inside. Windows without such a
number are *contested*. The polygon falls into the cells of those that win somewhere, which meet along zero sets of
differences of two. Where more than two win, these chords go on past the point where a third takes over: there they
are no borders, and are taken away again (:mod:`transect.engine.plane.dissolving`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from transect.engine.plane.arrangement import Chords
from transect.engine.plane.bending import INTERPOLATED, TWISTED, Bending, Doubt, Touching, on_edges, rounding_nearby
from transect.engine.plane.contests import Contests, Pairs, among_largest, at_base
from transect.engine.plane.merging import Along
from transect.engine.plane.mesh import Floats, Ints, Mesh, first_of_rows, following_of, slices, starts_of
from transect.engine.plane.ties import Ties
from transect.engine.plane.turns import turns_of
from transect.engine.rounding import Tolerance
from transect.errors import at_most
from transect.rules import Envelope

_TIED = "two members of a window within rounding of one another all over a region"
_EQUAL = 1 / 8  # of what positions are stated with: four standard deviations
_TOGETHER = 1 << 22  # numbers compared at once


@dataclass(frozen=True)
class WindowBending(Bending):
    """The same as for units, and what is needed to tell borders from chords that go on too far.

    Attributes:
        contests: The contests.
        pairs: Contest and places of every chord.
        ties: What says where winners change along edges that are there already.
        equal: Multiple of the contests' bounds within which a third number may be as large as two along a chord.
        nearby: How far rounding moves numbers at coordinates, ``(n, 2)`` and ``(n,)``, from the values there.
    """

    contests: Contests | None = None
    pairs: Pairs | None = None
    ties: Ties | None = None
    equal: float = 1.0
    nearby: Callable[[Floats, Ints], Floats] | None = None


def bend_windows(envelope: Envelope, values: Tensor, mesh: Mesh, tolerance: Tolerance, reach: float) -> WindowBending:
    """Find everything at a windowed operation at once; ``values`` is ``(V, *shape)``."""
    envelope = replace(envelope, windows=envelope.windows.to(values.device))
    work = _AtWindows(envelope, values, mesh, tolerance, reach)
    return work.bending()


class _AtWindows:
    def __init__(self, envelope: Envelope, values: Tensor, mesh: Mesh, tolerance: Tolerance, reach: float) -> None:
        self._envelope, self._mesh, self._tolerance, self._reach = envelope, mesh, tolerance, reach
        self._flat = envelope.flat(values)
        self._positions = envelope.arrange(values[:1]).shape[2]
        winner = envelope.winners(values)
        self._channels = winner.shape[1]
        self._winner = winner.reshape(len(values), -1)
        self._windows = envelope.windows.cpu().numpy()
        self._merge = tolerance.merge.cpu().numpy()
        self._eps = float(torch.finfo(values.dtype).eps)
        self._doubts: list[Doubt] = []

    def bending(self) -> WindowBending:
        mesh = self._mesh
        asked = self._asked()
        common = self._common(asked)
        contests = _closed(self._contested(asked, common), mesh)
        ties = Ties(mesh, asked, common, contests, self._windows, self._winner)
        return self._with_chords(contests, _pairs(contests), ties)

    # Who wins where

    def _asked(self) -> Contests:
        """Windows whose winners at the corners of a polygon are not all the same."""
        edges, mesh = self._mesh.edges, self._mesh
        low, high = (torch.from_numpy(part).to(self._winner.device) for part in (edges.low, edges.high))
        step = max(1, _TOGETHER // max(1, self._winner.shape[1]))
        edge, unit = [], []
        for first in range(0, len(low), step):
            part = slice(first, first + step)
            differ = (self._winner[low[part]] != self._winner[high[part]]).nonzero().cpu().numpy()
            edge.append(differ[:, 0] + first)
            unit.append(differ[:, 1])
        edges_of, units_of = np.concatenate(edge), np.concatenate(unit)
        two = edges.second[edges_of] >= 0
        polygon = np.concatenate([mesh.polygon[edges.first[edges_of]], mesh.polygon[edges.second[edges_of[two]]]])
        units = self._winner.shape[1]
        key = np.concatenate([polygon * units + np.concatenate([units_of, units_of[two]]), self._at_seams()])
        return self._gathered(*np.divmod(np.unique(key), units))

    def _at_seams(self) -> Ints:
        """Polygons and windows, as one number, where an earlier place is as large as the winner along a seam.

        Beyond the seam rounding may be another, and have the earlier place win.
        """
        mesh, units, windows = self._mesh, self._winner.shape[1], self._windows
        corners = np.flatnonzero(mesh.seam >= 0)
        if len(corners) == 0:
            return np.zeros(0, np.int64)
        vertices, ends = np.unique(mesh.corner[np.stack([corners, mesh.following[corners]])], return_inverse=True)
        ends = ends.reshape(2, -1)
        unit, device = np.arange(units), self._flat.device
        place = windows[unit % len(windows)]
        number = torch.from_numpy((unit // len(windows))[:, None] * self._positions + np.maximum(place, 0)).to(device)
        absent, bound = torch.from_numpy(place < 0).to(device), self._tolerance.merge[number]
        parts = []
        step = max(1, _TOGETHER // max(1, number.numel()))
        for first in range(0, len(vertices), step):
            at = torch.from_numpy(vertices[first : first + step]).to(device)
            values = self._flat[at][:, number].double().masked_fill_(absent, -torch.inf)
            most, best = values.max(2, keepdim=True)
            near = values >= most - bound - bound.expand_as(values).gather(2, best)
            parts.append((near.int().argmax(2) != (values == most).int().argmax(2)).cpu().numpy())
        earlier = np.concatenate(parts)
        row, unit = np.nonzero(earlier[ends[0]] & earlier[ends[1]])
        return mesh.polygon[corners[row]] * units + unit

    def _gathered(self, polygon: Ints, unit: Ints) -> Contests:
        mesh, count = self._mesh, len(self._windows)
        place = self._windows[unit % count]
        absent = place < 0
        number = (unit // count)[:, None] * self._positions + np.maximum(place, 0)
        row, entry = slices(mesh.start, polygon)
        vertex = mesh.corner[entry]
        device = self._flat.device
        at = torch.from_numpy(vertex).to(device)[:, None], torch.from_numpy(number[row.row]).to(device)
        values = self._flat[at].double().cpu().numpy()
        bound = self._merge[number][row.row].copy()
        values[absent[row.row]], bound[absent[row.row]] = -np.inf, 0
        start = starts_of(mesh.degree[polygon])
        found = Contests(polygon, unit, number, absent, np.zeros_like(absent), start, entry, values, bound)
        return self._looked_at_closely(found)

    def _looked_at_closely(self, found: Contests) -> Contests:
        """The same; where rounding decides who is largest, its size is worked out from the values at the corner."""
        near = among_largest(found.values, found.bound)
        largest = found.values.max(1, keepdims=True) if len(near) else found.values
        unsure = near & (found.values < largest)
        row, place = np.nonzero(near & unsure.any(1, keepdims=True))
        if len(row):
            xy = self._mesh.xy[self._mesh.corner[found.entry[row]]]
            nearby = self._nearby(xy, found.number[found.contest[row], place])
            # What is interpolated between corners has the rounding of numbers there, however exact it were by itself.
            sizes = np.where(np.isfinite(found.values), np.abs(found.values), 0)
            sizes = np.maximum.reduceat(sizes, found.start[:-1], axis=0)[found.contest[row], place]
            found.bound[row, place] = np.maximum(nearby, INTERPOLATED * self._eps * sizes)
        return found

    def _nearby(self, xy: Floats, number: Ints) -> Floats:
        return rounding_nearby(self._tolerance, xy, number, self._flat.device)

    def _common(self, asked: Contests) -> Ints:
        """The first place that is largest at all corners, to within rounding, -1 where there is none, ``(Q,)``."""
        if len(asked.polygon) == 0:
            return asked.polygon
        all_over = np.logical_and.reduceat(among_largest(asked.values, asked.bound), asked.start[:-1], axis=0)
        return np.where(all_over.any(1), all_over.argmax(1), -1)

    def _contested(self, asked: Contests, common: Ints) -> Contests:
        """The contests, with those that win at corners: alone, or else the first of equals."""
        found = asked.only(common < 0)
        if len(found.polygon) == 0:
            return found
        near, contest = among_largest(found.values, found.bound), found.contest
        alone = near & (near.sum(1, keepdims=True) == 1)
        wins = np.logical_or.reduceat(alone, found.start[:-1], axis=0)
        for _ in at_most(int(np.diff(found.start).max()) + 1, "corners of one polygon"):
            open_corners = np.flatnonzero(~(near & wins[contest]).any(1))
            if len(open_corners) == 0:
                break
            q = contest[open_corners]
            first = open_corners[first_of_rows(q)]
            wins[contest[first], near[first].argmax(1)] = True
        return replace(found, wins=wins)

    # Where they meet

    def _with_chords(self, contests: Contests, pairs: Pairs, ties: Ties) -> WindowBending:
        mesh = self._mesh
        table = _Differences(contests, pairs, mesh, self._reach)
        self._doubts += table.doubts(contests)
        found, ends = table.crossings, table.ends
        added, group, doubts = on_edges(
            mesh, Along(found.edge, found.t, found.error), found.unit, self._tolerance.stated
        )
        self._doubts += doubts
        group = group if len(group) else np.zeros(1, np.int64)
        chosen = ends.pair
        pairs = Pairs(*(part[chosen] for part in (pairs.contest, pairs.i, pairs.j)))
        vertex = np.where(ends.crossing < 0, -1, group[np.maximum(ends.crossing, 0)])
        polygon = contests.polygon[pairs.contest]
        chords = Chords(polygon, ends.corner, vertex, np.arange(len(polygon)), ends.values, ends.tolerance)
        nothing, none = np.zeros(0, np.int64), Touching.none()
        unit = contests.unit[pairs.contest]
        equal = _EQUAL * self._tolerance.stated
        return WindowBending(
            added, chords, unit, nothing, nothing, none, none, self._doubts, contests, pairs, ties, equal, self._nearby
        )


def _pairs(contests: Contests) -> Pairs:
    """All pairs of winners of every contest, ordered by the contest."""
    first, second = np.triu_indices(contests.wins.shape[1], 1)
    contest, pair = np.nonzero(contests.wins[:, first] & contests.wins[:, second])
    return Pairs(contest, first[pair], second[pair])


def _closed(contests: Contests, mesh: Mesh) -> Contests:
    """The contests with the winners that win at no corner, too.

    What a number has more than the largest of the others is concave, and greatest where two or three of them meet: on
    edges of the polygon, or inside it. Wherever another number is larger there, it is one of them.
    """
    for _ in at_most(contests.wins.shape[1] + 1, "winners of one window"):
        if len(contests.polygon) == 0:
            break
        contest, values, bound = _meetings(contests, mesh)
        wins = contests.wins[contest]
        ours = np.where(wins, values, -np.inf).max(1)
        excess = np.where(wins, -np.inf, values) - ours[:, None] - 2 * bound
        best = excess.argmax(1)
        more = np.flatnonzero(excess[np.arange(len(best)), best] > 0)
        if len(more) == 0:
            break
        contests.wins[contest[more], best[more]] = True
    return contests


def _meetings(contests: Contests, mesh: Mesh) -> tuple[Ints, Floats, Floats]:
    """Numbers of every window where two winners meet on an edge, or three anywhere: contest, values and bounds."""
    pairs, following = _pairs(contests), following_of(contests.start)
    row, entry = slices(contests.start, pairs.contest)
    i, j = pairs.i[row.row], pairs.j[row.row]
    gap = contests.values[entry, i] - contests.values[entry, j]
    ahead = following[entry]
    then = contests.values[ahead, i] - contests.values[ahead, j]
    crossed = np.flatnonzero(gap * then < 0)
    t = (gap[crossed] / (gap[crossed] - then[crossed]))[:, None]
    here, there = contests.values[entry[crossed]], contests.values[ahead[crossed]]
    with np.errstate(invalid="ignore"):
        values = [np.where(np.isfinite(here), here + (there - here) * t, -np.inf)]
    bounds = [np.maximum(contests.bound[entry[crossed]], contests.bound[ahead[crossed]])]
    found = [pairs.contest[row.row[crossed]]]
    many = np.flatnonzero(contests.wins.sum(1) > 2)
    if len(many):
        contest, inside, bound = _triples(contests, many, mesh)
        found, values, bounds = [*found, contest], [*values, inside], [*bounds, bound]
    return np.concatenate(found), np.concatenate(values), np.concatenate(bounds)


def _triples(contests: Contests, many: Ints, mesh: Mesh) -> tuple[Ints, Floats, Floats]:
    """Numbers where three winners are equal, as far as that is about the polygon."""
    places = contests.wins.shape[1]
    a, b, c = (part.reshape(-1) for part in np.meshgrid(*(np.arange(places),) * 3, indexing="ij"))
    rising = (a < b) & (b < c)
    a, b, c = a[rising], b[rising], c[rising]
    wins = contests.wins[many]
    which, triple = np.nonzero(wins[:, a] & wins[:, b] & wins[:, c])
    q = many[which]
    base = at_base(contests, q, mesh)  # (n, 3, places)
    rows = np.arange(len(q))
    i, j, k = base[rows, :, a[triple]], base[rows, :, b[triple]], base[rows, :, c[triple]]
    normal = np.cross(i - j, j - k)
    total = normal.sum(1)
    regular = np.flatnonzero(np.abs(total) > 0)
    weights = normal[regular] / total[regular, None]
    close = np.abs(weights).max(1) < 4  # far outside the polygon otherwise
    regular, weights = regular[close], weights[close]
    finite = np.where(np.isfinite(base[regular]), base[regular], 0)
    values = np.einsum("np,npk->nk", weights, finite)
    values[contests.absent[q[regular]]] = -np.inf
    bound = contests.bound[contests.start[q[regular]]]
    return q[regular], values, bound


@dataclass(frozen=True)
class _Crossings:
    edge: Ints
    unit: Ints
    t: Floats
    error: Floats


@dataclass(frozen=True)
class _Ends:
    pair: Ints
    corner: Ints
    crossing: Ints
    values: Floats
    tolerance: Floats


class _Differences:
    """Differences of two numbers at the corners of polygons, one for every (pair, corner); their signs are settled.

    Polygons that share a vertex, or an edge, share what is decided there.
    """

    def __init__(self, contests: Contests, pairs: Pairs, mesh: Mesh, reach: float) -> None:
        self._mesh, self._reach = mesh, reach
        row, entry = slices(contests.start, pairs.contest)
        self._pair, self._within = row
        self._start = starts_of(np.diff(contests.start)[pairs.contest])
        i, j = pairs.i[self._pair], pairs.j[self._pair]
        places = max(1, contests.wins.shape[1])
        difference = contests.values[entry, i] - contests.values[entry, j]
        bound = contests.bound[entry, i] + contests.bound[entry, j]
        column = (contests.unit[pairs.contest] * places + pairs.i) * places + pairs.j
        _, column = np.unique(column, return_inverse=True)
        column = column[self._pair]
        columns = int(column.max()) + 1 if len(column) else 1
        corner = contests.entry[entry]
        self._corner = corner
        _, first, self._spot = np.unique(mesh.corner[corner] * columns + column, return_index=True, return_inverse=True)
        self._value, self._bound = difference[first], bound[first]  # of every (vertex, column)
        self._vertex, self._unit = mesh.corner[corner][first], contests.unit[pairs.contest][self._pair][first]
        self._sign = np.sign(self._value) * (np.abs(self._value) > self._bound)
        edge = mesh.edges.of_corner[corner]
        _, first, self._side = np.unique(edge * columns + column, return_index=True, return_inverse=True)
        self._edge = edge[first]  # of every (edge, column)
        ahead = following_of(self._start)[first] if len(first) else first
        one, other = self._spot[first], self._spot[ahead]
        forward = mesh.corner[corner][first] == mesh.edges.low[self._edge]
        self._low, self._high = np.where(forward, one, other), np.where(forward, other, one)
        self._twisted: list[tuple[Floats, Ints]] = []
        self._settle()

    def _settle(self) -> None:
        for _ in at_most(len(self._sign) + 2, "signs of differences"):
            self.crossings = self._crossings()
            ends = self._ends()
            if ends is not None:
                self.ends = ends
                return

    def _crossings(self) -> _Crossings:
        mesh = self._mesh
        for _ in at_most(len(self._sign) + 2, "signs of differences"):
            side = np.flatnonzero(self._sign[self._low] * self._sign[self._high] < 0)
            low, high = self._low[side], self._high[side]
            left, right = np.abs(self._value[low]), np.abs(self._value[high])
            slope = left + right
            t = left / slope
            position = self._reach / mesh.edge_lengths[self._edge[side]]
            bound = self._bound[low] + (self._bound[high] - self._bound[low]) * t
            error = np.maximum(bound / slope, position)
            at_low, at_high = (t <= error) & (left <= right), (1 - t <= error) & (right < left)
            if not at_low.any() and not at_high.any():
                break
            self._sign[low[at_low]] = 0
            self._sign[high[at_high]] = 0
        order = np.lexsort((t, self._edge[side]))
        self._crossing_of_side = np.full(len(self._edge), -1)
        self._crossing_of_side[side[order]] = np.arange(len(side))
        return _Crossings(self._edge[side][order], self._unit[low][order], t[order], error[order])

    def _ends(self) -> _Ends | None:
        """Both ends of every chord; None where a sign had to be set."""
        turns = turns_of(self._start, self._sign[self._spot], np.abs(self._value[self._spot]))
        if len(turns.twisted):
            spot = self._spot[turns.twisted]
            self._twisted.append((self._mesh.xy[self._vertex[spot]], self._unit[spot]))
            self._sign[spot] = 0
            return None
        crossing = np.where(turns.at_zero, -1, self._crossing_of_side[self._side[turns.entry]])
        base = self._base(turns.row)
        values, bound = self._value[self._spot[base]], self._bound[self._spot[base]]
        return _Ends(turns.row, self._corner[turns.entry], crossing, values, bound.max(1, initial=0))

    def _base(self, pair: Ints) -> Ints:
        mesh = self._mesh
        polygon = mesh.polygon[self._corner[self._start[pair]]]
        return self._start[pair][:, None] + mesh.base.corner[polygon] - mesh.start[polygon][:, None]

    def doubts(self, contests: Contests) -> list[Doubt]:
        """What rounding could not decide."""
        return [Doubt(xy, unit, TWISTED) for xy, unit in self._twisted]
