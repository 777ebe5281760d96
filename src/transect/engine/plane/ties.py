"""Where the winner of a window changes along an edge that is there already, because several are equal all along it.

Such an edge is no chord of its polygons: on neither side does a difference change its sign. On both sides of it the
winner is known once the polygons are cut: of a polygon that nothing cuts it is the one all over it, and of a part of a
contested one the largest in its middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from transect.engine.plane.arrangement import Cut
from transect.engine.plane.bending import Touching
from transect.engine.plane.contests import Contests, winners_at
from transect.engine.plane.mesh import Bools, Floats, Ints, Mesh, following_of, ragged, slices, starts_of


@dataclass(frozen=True, eq=False)
class Ties:
    """What is known of the windows before anything is cut.

    Attributes:
        mesh: The polygons.
        asked: Windows whose winners at the corners of a polygon are not all the same.
        common: The place that wins all over the polygon, to within rounding, or -1, ``(Q,)``.
        contests: Those of ``asked`` where there is none, with all that win.
        windows: Positions of the places of every window.
        winner: Position of the first of the largest, ``(V, units)``.
    """

    mesh: Mesh
    asked: Contests
    common: Ints
    contests: Contests
    windows: Ints
    winner: Tensor

    def touching(self, cut: Cut) -> tuple[Touching, Touching]:
        """Corners of the cut mesh at whose edges the winner changes, and seams where it is not the first."""
        found, tied = self._beside_ties(cut)
        if len(found.corner) == 0:
            return Touching.none(), Touching.none()
        corner, unit, piece = found.corner, found.unit, found.piece
        edges = cut.mesh.edges
        edge = edges.of_corner[corner]
        opposite = np.where(edges.first[edge] == corner, edges.second[edge], edges.first[edge])
        units = self.winner.shape[1]
        key = corner * units + unit
        order = np.argsort(key)
        inner = np.flatnonzero(opposite >= 0)
        at = np.minimum(np.searchsorted(key[order], opposite[inner] * units + unit[inner]), len(key) - 1)
        known = key[order][at] == opposite[inner] * units + unit[inner]
        # A polygon that was not asked has one winner at all corners.
        elsewhere = self._plain_winner(cut.origin[opposite[inner]], unit[inner], tied[inner])
        other = np.where(known, piece[order][at], elsewhere)
        keep = (other != piece[inner]) & ((corner[inner] < opposite[inner]) | ~known)
        raised = (opposite < 0) & (cut.mesh.seam[corner] >= 0) & (piece != tied)
        return found.only(inner[keep]), found.only(np.flatnonzero(raised))

    def _beside_ties(self, cut: Cut) -> tuple[Touching, Ints]:
        """Edges of the cut mesh along which several are largest: the winner beside each, and the first of these."""
        asked = self.asked
        following = following_of(asked.start)
        some = np.flatnonzero(_may_tie(asked.values, asked.bound) & _may_tie(asked.values, asked.bound)[following])
        order = np.argsort(cut.origin, kind="stable")
        first = np.searchsorted(cut.origin[order], np.arange(len(self.mesh.corner) + 1))
        row, entry = slices(first, asked.entry[some])
        corner, entry_of = order[entry], some[row.row]
        share = self._middles(cut, corner, asked.entry[entry_of])[:, None]
        here, there = asked.values[entry_of], asked.values[following[entry_of]]
        bound = [asked.bound[entry_of], asked.bound[following[entry_of]]]
        largest = _between(here, there, share).argmax(1)[:, None]
        equal = np.isfinite(here)
        for values, reach in zip((here, there), bound, strict=True):
            best, most = (np.take_along_axis(part, largest, 1) for part in (values, reach))
            equal &= np.abs(np.where(np.isfinite(values), values, 0) - best) <= reach + most
        tie = np.flatnonzero(equal.sum(1) > 1)
        corner, contest = corner[tie], asked.contest[entry_of[tie]]
        found = Touching(corner, asked.unit[contest], self._pieces(cut, corner, contest))
        return found, equal[tie].argmax(1)

    def _middles(self, cut: Cut, corner: Ints, old: Ints) -> Floats:
        """Where the middle of an edge is on the old edge it is part of, from 0 to 1."""
        mesh, new = self.mesh, cut.mesh
        start, end = mesh.xy[mesh.corner[old]], mesh.xy[mesh.corner[mesh.following[old]]]
        middle = (new.xy[new.corner[corner]] + new.xy[new.corner[new.following[corner]]]) / 2
        step = end - start
        length = (step**2).sum(1)
        return np.clip(((middle - start) * step).sum(1) / np.where(length > 0, length, 1), 0, 1)

    def _pieces(self, cut: Cut, corner: Ints, contest: Ints) -> Ints:
        """The place that wins in the polygon of a corner."""
        piece = self.common[contest].copy()
        split = np.flatnonzero(piece < 0)
        if len(split):
            number = (np.cumsum(self.common < 0) - 1)[contest[split]]
            middles = cut.middles[cut.mesh.polygon[corner[split]]]
            piece[split] = winners_at(self.contests, number, self.mesh, middles)
        return piece

    def _plain_winner(self, corner: Ints, unit: Ints, tied: Ints) -> Ints:
        """The place that wins all over an old polygon whose corners agree; else the first of the equal."""
        mesh = self.mesh
        vertex = mesh.corner[corner]
        at = torch.from_numpy(vertex).to(self.winner.device), torch.from_numpy(unit).to(self.winner.device)
        position = self.winner[at].cpu().numpy()
        place = (self.windows[unit % len(self.windows)] == position[:, None]).argmax(1)
        start, degree = mesh.start[mesh.polygon[corner]], mesh.degree[mesh.polygon[corner]]
        row = ragged(degree)
        other = mesh.corner[start[row.row] + row.within]
        at = torch.from_numpy(other).to(self.winner.device), torch.from_numpy(unit[row.row]).to(self.winner.device)
        agrees = self.winner[at].cpu().numpy() == position[row.row]
        same = np.logical_and.reduceat(agrees, starts_of(degree)[:-1]) if len(degree) else agrees
        return np.where(same, place, tied)


def _may_tie(values: Floats, bound: Floats) -> Bools:
    """Whether any two numbers of a row are equal, to within rounding."""
    if values.shape[1] < 2 or len(values) == 0:
        return np.zeros(len(values), bool)
    order = np.argsort(values, axis=1)
    values, bound = np.take_along_axis(values, order, 1), np.take_along_axis(bound, order, 1)
    with np.errstate(invalid="ignore"):
        close: Bools = values[:, 1:] - values[:, :-1] <= bound[:, 1:] + bound[:, :-1]
    return np.asarray(close.any(axis=1))


def _between(here: Floats, there: Floats, share: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(here), here + (there - here) * share, -np.inf)
