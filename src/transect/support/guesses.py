"""Numbers that are known within a range, and how they are said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CLOCK = 1.5  # times are known within this factor: other programs, caches, stretches unlike the rest
_CONFIDENCE = 0.9


@dataclass(frozen=True)
class Guess:
    """A number between two others."""

    value: float
    low: float
    high: float

    def times(self, factor: float, sure: float = 1.0) -> Guess:
        """A multiple, of which the factor itself is known within a factor ``sure`` either way."""
        return Guess(self.value * factor, self.low * factor / sure, self.high * factor * sure)

    def plus(self, other: Guess) -> Guess:
        """The sum."""
        return Guess(self.value + other.value, self.low + other.low, self.high + other.high)


def mean_of(guesses: Sequence[Guess], of: int | None) -> Guess:
    """Mean over ``of`` things (None: unknown, many) of which these are a sample.

    What the sample leaves open is added to what is open in each: Student's t interval, 90 %; for a sample of one, all
    of it.
    """
    value, low, high = np.array([(one.value, one.low, one.high) for one in guesses]).mean(0).tolist()
    count = len(guesses)
    if count == of:
        return Guess(value, low, high)
    spread = float(np.std([one.value for one in guesses], ddof=1)) if count > 1 else value
    half = spread / count**0.5 * (student(count) if count > 1 else 1.0)
    return Guess(value, max(0.0, low - half), high + half)


def student(count: int) -> float:
    """What a mean over so many is known by, in standard errors: Student's t, 90 %."""
    import scipy.stats  # slow to import, and every worker process imports this package

    return float(scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1))


def counted(guess: Guess) -> str:
    """A number of things and its range."""
    return f"{guess.value:,.0f} ({guess.low:,.0f} to {guess.high:,.0f})"


def duration(guess: Guess) -> str:
    """A time in seconds and its range, in units that suit it."""
    return f"{_time(guess.value)} ({_time(guess.low)} to {_time(guess.high)})"


def _time(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.{1 if seconds < 10 * size else 0}f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
