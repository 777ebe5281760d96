"""Numbers that are not known yet, and how far off they may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    import scipy.stats  # slow to import, and every worker process imports this package

    spread = float(np.std([one.value for one in guesses], ddof=1)) if count > 1 else value
    half = spread / count**0.5 * (float(scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1)) if count > 1 else 1.0)
    return Guess(value, max(0.0, low - half), high + half)
