"""How sure a number is, and what may be said of it: every interval and every verdict of the package is made here.

Student's t throughout: one number for each independent unit (a seed, or a path), their mean, and an interval from their
spread. Resampling so few units covers much less than its name; docs/confidence.md shows both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
FEWEST_SEEDS = 3  # with two, an interval of the same coverage is six times as wide, and says nothing
FEWEST_POSITIONS = 5  # of a curve: with four, rank correlations of all seeds agree by chance too often
FEWEST_PATHS = 5  # values of single paths are skewed, and cheap

Interval = tuple[float, float]


class Verdict(IntEnum):
    """What became of a statement, from worst to best: of several, the conjunction is the smallest.

    ``HOLDS`` and ``FAILS`` need an interval with no room for the opposite; ``SEEN`` and ``NOT_SEEN`` say what the means
    show, and no more; ``OPEN`` that there is nothing to judge by.
    """

    FAILS = 0
    NOT_SEEN = 1
    OPEN = 2
    SEEN = 3
    HOLDS = 4

    @property
    def words(self) -> str:
        """For people: ``"holds"``, ``"seen"``, ``"not seen"``, ``"does not hold"``, ``"cannot be told"``."""
        return _WORDS[self]

    @property
    def negated(self) -> Verdict:
        """Of the opposite statement."""
        return Verdict(Verdict.HOLDS - self)


_WORDS = {
    Verdict.FAILS: "does not hold",
    Verdict.NOT_SEEN: "not seen",
    Verdict.OPEN: "cannot be told",
    Verdict.SEEN: "seen",
    Verdict.HOLDS: "holds",
}
MEANING = (
    "holds: the 95 % interval over seeds leaves no room for the opposite (does not hold: for the statement). "
    "seen, not seen: what the means show, without such an interval; there is none with fewer than "
    f"{FEWEST_SEEDS} seeds, or of a curve over fewer than {FEWEST_POSITIONS} positions. "
    "cannot be told: there is nothing to judge by."
)


def all_of(outcomes: Iterable[Verdict]) -> Verdict:
    """Of statements together: no better than the worst of them; open where there is none."""
    return min(outcomes, default=Verdict.OPEN)


@dataclass(frozen=True)
class MeanWithInterval:
    """A mean over independent units, and how far another draw of them might have moved it.

    Attributes:
        value: The mean; NaN where it is not defined.
        interval: Student's t interval, 95 % unless said otherwise; None where there is none.
        without: Why there is none; empty where there is one.
    """

    value: float
    interval: Interval | None = None
    without: str = ""

    def between(self, low: float = -math.inf, high: float = math.inf) -> Verdict:
        """Whether the true number is in ``[low, high]``."""
        if math.isnan(self.value):
            return Verdict.OPEN
        seen = low <= self.value <= high
        if self.interval is None:
            return Verdict.SEEN if seen else Verdict.NOT_SEEN
        below, above = self.interval
        if seen:
            return Verdict.HOLDS if low <= below and above <= high else Verdict.SEEN
        return Verdict.FAILS if above < low or below > high else Verdict.NOT_SEEN

    def above(self, bound: float) -> Verdict:
        """Whether the true number is larger."""
        return self.between(math.nextafter(bound, math.inf))

    def below(self, bound: float) -> Verdict:
        """Whether the true number is smaller."""
        return self.between(high=math.nextafter(bound, -math.inf))

    def exp(self) -> MeanWithInterval:
        """Of logarithms the estimate of what they are of: a geometric mean."""
        ends = None if self.interval is None else (math.exp(self.interval[0]), math.exp(self.interval[1]))
        return MeanWithInterval(math.exp(self.value), ends, self.without)

    def told(self, form: str = "{:.3g}") -> str:
        """In words, ``"1.9 [1.5, 2.2]"``."""
        if math.isnan(self.value):
            return "not defined"
        return form.format(self.value) + (f" [{form}, {form}]".format(*self.interval) if self.interval else "")


def mean_of(
    values: ArrayLike,
    unit: str = "seed",
    fewest: int = FEWEST_SEEDS,
    *,
    positions: int = FEWEST_POSITIONS,
    margin: float = 0.0,
    least: float = 0.0,
    confidence: float = CONFIDENCE,
) -> MeanWithInterval:
    """The mean of one number a unit, with Student's t interval (Student, 1908, "The probable error of a mean").

    Args:
        values: ``(K,)``, one a unit; the units are independent.
        unit: What they are, for the reason why there is no interval.
        fewest: Units below which there is none.
        positions: Of the curves that the values are of: how many.
        margin: By how much each end is moved outwards, for what more units would not mend.
        least: Half the width of the narrowest interval, for values that take few different ones.
        confidence: Coverage.

    Returns:
        The estimate; not defined where a value is NaN, or there is none.
    """
    found = np.asarray(values, dtype=np.float64)
    if not len(found) or np.isnan(found).any():
        return MeanWithInterval(math.nan, None, "not defined")
    mean = float(found.mean())
    if len(found) < fewest:
        return MeanWithInterval(mean, None, f"fewer than {fewest} {unit}s")
    if positions < FEWEST_POSITIONS:
        return MeanWithInterval(mean, None, f"fewer than {FEWEST_POSITIONS} positions")
    import scipy.stats  # slow to import, and every worker process imports this module

    spread = float(found.std(ddof=1)) / math.sqrt(len(found))
    half = max(float(scipy.stats.t.ppf((1 + confidence) / 2, len(found) - 1)) * spread, least) + margin
    return MeanWithInterval(mean, (mean - half, mean + half))


def to_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table: columns in the order in which they first appear, empty where a row has none or it is NaN."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [_defined(row.get(name)) for row in rows] for name in names})


def columns_of(name: str, found: MeanWithInterval) -> dict[str, float | None]:
    """An estimate as three columns, ``name``, ``*_low`` and ``*_high``; the last two empty where it has no interval."""
    low, high = found.interval or (None, None)
    return {name: found.value, f"{name}_low": low, f"{name}_high": high}


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
