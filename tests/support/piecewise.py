"""Piecewise affine curves with known knots, and the runs an engine would hand out for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import torch
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import Tensor

from transect.engine.rows import Run
from transect.measures.base import Ends, Reduced, Reducer


@dataclass(frozen=True, eq=False)
class Curve:
    """Affine between its knots: positions ``t`` from 0 to 1, ``(K,)``, and outputs ``f`` there, ``(K, C)``."""

    t: np.ndarray
    f: np.ndarray
    length: float = 1.0

    def at(self, t: float) -> np.ndarray:
        return np.array([np.interp(t, self.t, column) for column in self.f.T])

    def deviation(self, t: float) -> np.ndarray:
        """f - a at one position."""
        return self.at(t) - (self.f[0] + t * (self.f[-1] - self.f[0]))

    def breaks(self) -> list[float]:
        """Where ``|f - a|`` has corners: the knots, and the zeros of every output's deviation. Quadrature must know."""

        def deviation(t: float, output: int) -> float:
            return float(self.deviation(t)[output])

        found = list(self.t)
        for output, (a, b) in product(range(self.f.shape[1]), pairwise(self.t)):
            if deviation(a, output) * deviation(b, output) < 0:
                found.append(brentq(deviation, a, b, args=(output,)))
        return sorted(found)

    def reversed(self) -> Curve:
        return replace(self, t=1 - self.t[::-1], f=self.f[::-1])

    def part(self, start: float, stop: float) -> Curve:
        """The stretch between two positions as a segment of its own."""
        inner = (start < self.t) & (self.t < stop)
        t = np.concatenate([[start], self.t[inner], [stop]])
        f = np.concatenate([[self.at(start)], self.f[inner], [self.at(stop)]])
        return Curve((t - start) / (stop - start), f, self.length * (stop - start))

    def exact(self) -> tuple[list[Fraction], list[list[Fraction]]]:
        """Knots and outputs as the rational numbers they are."""
        return [Fraction(t) for t in self.t.tolist()], [[Fraction(v) for v in row] for row in self.f.tolist()]


def random_curve(
    seed: int, regions: int, outputs: int, scale: float = 1.0, length: float = 1.0, kinks: float = 1.0
) -> Curve:
    """An affine function plus ``kinks`` times a random zigzag, some of whose outputs rest at zero for a while.

    Its knots are multiples of 2^-30, so that 1 - t is exact.
    """
    rng = np.random.default_rng(seed)
    t = np.concatenate([[0.0], np.sort(rng.integers(2**24, 2**30 - 2**24, regions - 1)) / 2**30, [1.0]])
    start, end = rng.normal(size=(2, outputs))
    zigzag = rng.normal(size=(len(t), outputs)) * rng.integers(0, 2, size=(len(t), outputs))
    return Curve(t, scale * (start + t[:, None] * (end - start) + kinks * zigzag), length)


def curves(most: int = 4, outputs: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[list[Curve]]:
    """Up to ``most`` curves of the same number of outputs, of one to nine regions each."""
    curve = st.tuples(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([1e-3, 1.0, 1e6]), st.floats(0.1, 9))
    several = st.tuples(st.lists(curve, min_size=1, max_size=most), outputs or st.integers(1, 4))
    return several.map(lambda drawn: [random_curve(c[0], c[1], drawn[1], *c[2:]) for c in drawn[0]])


def ends_of(curves: Sequence[Curve], eps: float = 2.0**-52) -> Ends:
    start, end = (torch.from_numpy(np.stack([curve.f[row] for curve in curves])) for row in (0, -1))
    return Ends(start, end, torch.tensor([curve.length for curve in curves], dtype=torch.float64), eps)


def runs_of(curves: Sequence[Curve], cuts: Sequence[int] = (), dtype: torch.dtype = torch.float64) -> Iterator[Run]:
    """All rows of the curves, cut after the rows ``cuts``.

    A run that goes on inside a segment begins with the last two rows of the run before.
    """
    segment = np.repeat(np.arange(len(curves)), [len(curve.t) for curve in curves])
    t, f = np.concatenate([curve.t for curve in curves]), np.concatenate([curve.f for curve in curves])
    last = len(t) - 1
    inside = [c for c in sorted(set(cuts)) if 0 < c < last and segment[c - 1] == segment[c + 1]]
    borders = [c for c in sorted(set(cuts)) if 0 <= c < last and segment[c] != segment[c + 1]]
    begin, fresh = 0, 0
    for cut in sorted([*inside, *borders, last]):
        rows = slice(begin, cut + 1)
        yield Run(
            torch.from_numpy(segment[rows]),
            torch.from_numpy(t[rows]),
            torch.from_numpy(f[rows]).to(dtype),
            fresh,
            torch.zeros(cut + 1 - begin, dtype=torch.float64),
        )
        begin, fresh = (cut - 1, 1) if cut in inside else (cut + 1, 0)


def measured(
    make: Callable[[Ends], Reducer], curves: Sequence[Curve], cuts: Sequence[int] = (), eps: float = 2.0**-52
) -> Mapping[str, Reduced]:
    """What a measure makes of the runs of some curves."""
    reducer = make(ends_of(curves, eps))
    for run in runs_of(curves, cuts):
        reducer.update(run)
    return reducer.results()


def value(make: Callable[[Ends], Reducer], name: str, *curves: Curve) -> Tensor:
    """One measure of some curves, in one run."""
    return measured(make, curves)[name].value
