"""Where the sign of an affine function changes around a polygon: twice, or never, but for what rounding does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from transect.engine.plane.mesh import Bools, Floats, Ints, first_of_rows, starts_of


class Turns(NamedTuple):
    """Changes of sign around polygons, one row a polygon and function.

    Attributes:
        row: Rows in which the sign changes twice, ``(K,)``.
        entry: For both changes the last entry before it, or the middle one of zeros that lie between, ``(K, 2)``.
        at_zero: Which it is, ``(K, 2)``.
        twisted: Of every row in which the sign changes more often, the entry that is nearest to zero and not zero.
    """

    row: Ints
    entry: Ints
    at_zero: Bools
    twisted: Ints


def turns_of(start: Ints, sign: Floats, size: Floats) -> Turns:
    """Read the signs of every row in turn.

    Args:
        start: Where each row starts, and the last one ends.
        sign: Sign at every corner, ``(N,)``.
        size: Distance from zero, ``(N,)``.
    """
    rows = len(start) - 1
    row_of = np.repeat(np.arange(rows), np.diff(start))
    keep = np.flatnonzero(sign)
    row = row_of[keep]
    ends = starts_of(np.bincount(row, minlength=rows))
    ahead = np.arange(1, len(keep) + 1)
    some = ends[1:] > ends[:-1]
    ahead[ends[1:][some] - 1] = ends[:-1][some]
    changes = sign[keep] != sign[keep[ahead]]
    count = np.bincount(row[changes], minlength=rows)
    more = np.flatnonzero((count > 2)[row])
    nearest = more[np.lexsort((size[keep[more]], row[more]))]
    twisted = keep[nearest[first_of_rows(row[nearest])]]
    turn = np.flatnonzero(changes & (count == 2)[row])
    before, after = keep[turn], keep[ahead[turn]]
    first, degree = start[row[turn]], np.diff(start)[row[turn]]
    gap = (after - before) % degree
    entry = np.where(gap > 1, first + (before - first + gap // 2) % degree, before)
    return Turns(np.flatnonzero(count == 2), entry.reshape(-1, 2), (gap > 1).reshape(-1, 2), twisted)
