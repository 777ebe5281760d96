"""Arrays of rational numbers, and values that are affine in t, or in a and b, with rational coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True, eq=False)
class Exact:
    """An array of rational numbers with one common denominator.

    Attributes:
        over: Numerators, an array of Python integers.
        under: The denominator, positive.
    """

    over: np.ndarray
    under: int

    @classmethod
    def of(cls, values: np.ndarray) -> Exact:
        """The rational numbers that floats are."""
        flat = cls.of_fractions([Fraction(float(value)) for value in np.asarray(values).reshape(-1)])
        return cls(flat.over.reshape(np.shape(values)), flat.under)

    @classmethod
    def of_fractions(cls, ratios: Sequence[Fraction]) -> Exact:
        under = math.lcm(*(ratio.denominator for ratio in ratios))
        over = np.empty(len(ratios), dtype=object)
        over[:] = [ratio.numerator * (under // ratio.denominator) for ratio in ratios]
        return cls(over, under)

    def fractions(self) -> list[Fraction]:
        return [Fraction(value, self.under) for value in self.over.reshape(-1)]

    def for_channels_of(self, x: Line) -> Exact:
        """One number a channel, shaped to be combined with a value of any number of dimensions."""
        return Exact(self.over.reshape(-1, *(1,) * (x.constant.over.ndim - 1)), self.under)

    def __add__(self, other: Exact) -> Exact:
        under = math.lcm(self.under, other.under)
        return Exact(self.over * (under // self.under) + other.over * (under // other.under), under)

    def __neg__(self) -> Exact:
        return Exact(-self.over, self.under)

    def __mul__(self, other: Exact) -> Exact:
        return Exact(self.over * other.over, self.under * other.under)

    def times(self, ratio: Fraction) -> Exact:
        return Exact(self.over * ratio.numerator, self.under * ratio.denominator)


@dataclass(frozen=True, eq=False)
class Line:
    """A value on an interval: ``constant + t * slope``."""

    constant: Exact
    slope: Exact

    def at(self, t: Fraction) -> list[Fraction]:
        return self.value(t).fractions()

    def value(self, t: Fraction) -> Exact:
        """What it is worth at t."""
        return self.constant + self.slope.times(t)

    def flat(self) -> Line:
        """Its entries in one dimension."""
        return Line(*(Exact(part.over.reshape(-1), part.under) for part in (self.constant, self.slope)))

    def meets(self, level: Fraction) -> set[Fraction]:
        """Where its entries cross a level; an entry that is constant crosses it nowhere."""
        distance = self.constant + -Exact.of_fractions([level])
        pairs = zip(distance.over.reshape(-1), self.slope.over.reshape(-1), strict=True)
        return {Fraction(-c * self.slope.under, s * distance.under) for c, s in pairs if s}


@dataclass(frozen=True, eq=False)
class Sheet:
    """A value on a polygon: ``constant + a * by_a + b * by_b``.

    What an affine function of it is on lines along both axes says what it is on the polygon.
    """

    constant: Exact
    by_a: Exact
    by_b: Exact

    @classmethod
    def of(cls, along_a: Line, along_b: Line) -> Sheet:
        """The value that is these on the lines b = 0 and a = 0."""
        return cls(along_a.constant, along_a.slope, along_b.slope)

    @property
    def along_a(self) -> Line:
        return Line(self.constant, self.by_a)

    @property
    def along_b(self) -> Line:
        return Line(self.constant, self.by_b)

    def value(self, a: Fraction, b: Fraction) -> Exact:
        """What it is worth at a point."""
        return self.constant + self.by_a.times(a) + self.by_b.times(b)

    def at(self, a: Fraction, b: Fraction) -> list[Fraction]:
        return self.value(a, b).fractions()

    @property
    def coefficients(self) -> list[tuple[Fraction, Fraction, Fraction]]:
        """Constant, slope in a and slope in b of every entry."""
        return list(zip(*(part.fractions() for part in (self.constant, self.by_a, self.by_b)), strict=True))
