"""Where the shapes of random networks come from: hypothesis, which shrinks what fails, or a generator of numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from hypothesis import strategies as st

T = TypeVar("T")


class Choices(Protocol):
    """A source of decisions."""

    def whole(self, low: int, high: int) -> int:
        """A whole number, both bounds included."""

    def one_of(self, options: Sequence[T]) -> T:
        """One of several; one that is listed twice is twice as likely."""

    def maybe(self) -> bool:
        """Yes or no."""


class Drawn:
    """Decisions of hypothesis."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def whole(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def one_of(self, options: Sequence[T]) -> T:
        return self._draw(st.sampled_from(options))

    def maybe(self) -> bool:
        return self._draw(st.booleans())


class Rolled:
    """Decisions of a generator of random numbers."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def whole(self, low: int, high: int) -> int:
        return int(self._random.integers(low, high + 1))

    def one_of(self, options: Sequence[T]) -> T:
        return options[self.whole(0, len(options) - 1)]

    def maybe(self) -> bool:
        return bool(self.whole(0, 1))
