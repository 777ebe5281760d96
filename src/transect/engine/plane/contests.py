"""Windows that are looked at in polygons, with their numbers at the corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transect.engine.plane.mesh import Bools, Floats, Ints, Mesh, slices, starts_of


@dataclass(frozen=True)
class Contests:
    """Windows that no number of theirs wins all over a polygon: ``Q`` of them.

    Attributes:
        polygon: The polygon, ``(Q,)``.
        unit: The window, ``(Q,)``.
        number: Index of every place's number among those compared, ``(Q, places)``.
        absent: Places that the window does not have, ``(Q, places)``.
        wins: Places that win somewhere in the polygon, ``(Q, places)``.
        start: Where the corners of each polygon start below, ``(Q + 1,)``.
        entry: The corners, one contest after the other, ``(N,)``.
        values: Numbers there, minus infinity for absent ones, ``(N, places)``.
        bound: How far rounding moves them, ``(N, places)``.
    """

    polygon: Ints
    unit: Ints
    number: Ints
    absent: Bools
    wins: Bools
    start: Ints
    entry: Ints
    values: Floats
    bound: Floats

    @property
    def contest(self) -> Ints:
        """Contest of every corner, ``(N,)``."""
        return np.repeat(np.arange(len(self.polygon)), np.diff(self.start))

    def only(self, chosen: Bools) -> Contests:
        """Some of the contests."""
        some = np.flatnonzero(chosen)
        _, entry = slices(self.start, some)
        return Contests(
            polygon=self.polygon[some],
            unit=self.unit[some],
            number=self.number[some],
            absent=self.absent[some],
            wins=self.wins[some],
            start=starts_of(np.diff(self.start)[some]),
            entry=self.entry[entry],
            values=self.values[entry],
            bound=self.bound[entry],
        )


@dataclass(frozen=True)
class Pairs:
    """Differences of two winners of a window on a polygon: what may be a border there.

    Attributes:
        contest: The contest, ``(C,)``.
        i: Place of the first, ``(C,)``.
        j: Place of the second, ``(C,)``.
    """

    contest: Ints
    i: Ints
    j: Ints


def among_largest(values: Floats, bound: Floats) -> Bools:
    """Members that rounding cannot tell from the largest of their row."""
    if len(values) == 0:
        return np.zeros(values.shape, bool)
    index = values.argmax(1)[:, None]
    return values >= np.take_along_axis(values, index, 1) - bound - np.take_along_axis(bound, index, 1)


def at_base(contests: Contests, contest: Ints, mesh: Mesh) -> Floats:
    """Numbers at the base of the polygons, ``(n, 3, places)``."""
    polygon = contests.polygon[contest]
    offset = mesh.base.corner[polygon] - mesh.start[polygon][:, None]
    return contests.values[contests.start[contest][:, None] + offset]


def winners_at(contests: Contests, contest: Ints, mesh: Mesh, weights: Floats) -> Ints:
    """The winner of contests at points, given by weights ``(n, 3)`` in the bases of their polygons, ``(n,)``."""
    base = at_base(contests, contest, mesh)
    values = np.einsum("np,npk->nk", weights, np.where(np.isfinite(base), base, 0))
    return np.where(contests.wins[contest], values, -np.inf).argmax(1)
