"""Two models on the same paths: what differs, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transect.confidence import FEWEST_PATHS, Estimate, mean_of
from transect.errors import InvalidInput

_SAME_SCALE = 1.5


@dataclass(frozen=True)
class Comparison:
    """A measure of two models, paired over paths.

    Attributes:
        one: Name of a model.
        other: Name of the other.
        measure: The measure.
        pairs: Paths on which both have a value.
        left_out: Paths on which one has none (NaN, or not given by the method).
        means: Means over these paths, of the one and the other.
        difference: Mean of one - other.
        difference_interval: Student's t interval of it; NaN with fewer than five pairs.
        ratio: Geometric mean of one / other; NaN where a value is not positive.
        ratio_interval: Student's t interval of the mean logarithm, exponentiated.
        confidence: Coverage of the intervals.
        scales: Standard deviations of the outputs of the one and the other: over the data set that ``measure`` was
            given, or over the anchors of these paths; None for a measure that does not grow with them.
    """

    one: str
    other: str
    measure: str
    pairs: int
    left_out: int
    means: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float]
    ratio: float
    ratio_interval: tuple[float, float]
    confidence: float
    scales: tuple[float, float] | None = None

    @property
    def scales_differ(self) -> bool:
        """Whether the scales of the outputs differ by a factor of more than 1.5: they are part of the difference."""
        return self.scales is not None and max(self.scales) > _SAME_SCALE * min(self.scales)

    def __str__(self) -> str:
        def shown(value: float, ends: tuple[float, float]) -> str:
            return Estimate(value, None if math.isnan(ends[0]) else ends).told("{:.4g}")

        sure = math.isfinite(self.difference_interval[0])
        over = f"{self.confidence:.0%} over paths" if sure else f"no interval: fewer than {FEWEST_PATHS} paths"
        left_out = f", {self.left_out} left out" if self.left_out else ""
        return (
            f"{self.measure} on {self.pairs} paths{left_out}: {self.one} {self.means[0]:.4g}, {self.other} "
            f"{self.means[1]:.4g}; difference {shown(self.difference, self.difference_interval)}, ratio "
            f"{shown(self.ratio, self.ratio_interval)} ({over}){self._caveat()}"
        )

    def _caveat(self) -> str:
        if not self.scales_differ or self.scales is None:
            return ""
        return (
            f"; the outputs of {self.one} and {self.other} have standard deviations of {self.scales[0]:.3g} and "
            f"{self.scales[1]:.3g}, and {self.measure} grows with them"
        )


def compare_pairs(
    one: str,
    other: str,
    measure: str,
    pairs: NDArray[np.float64],
    confidence: float,
    scales: tuple[float, float] | None = None,
) -> Comparison:
    """Compare values of two models, ``(N, 2)``, a row a path; with the scales of their outputs, where these matter.

    Raises:
        InvalidInput: No path has values of both.
    """
    known = pairs[~np.isnan(pairs).any(1)]
    if not len(known):
        raise InvalidInput(
            f"measure: no path has {measure!r} of both {one!r} and {other!r}; measure both on the same paths, with a "
            "method that gives it."
        )
    logarithms = np.log(known[:, 0] / known[:, 1]) if (known > 0).all() else np.full(1, np.nan)
    difference, ratio = (
        mean_of(values, "path", FEWEST_PATHS, confidence=confidence)
        for values in (known[:, 0] - known[:, 1], logarithms)
    )
    ratio = ratio.exp()
    return Comparison(
        one=one,
        other=other,
        measure=measure,
        pairs=len(known),
        left_out=len(pairs) - len(known),
        means=(float(known[:, 0].mean()), float(known[:, 1].mean())),
        difference=difference.value,
        difference_interval=difference.interval or (math.nan, math.nan),
        ratio=ratio.value,
        ratio_interval=ratio.interval or (math.nan, math.nan),
        confidence=confidence,
        scales=scales,
    )
