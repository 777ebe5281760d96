"""What a sweep says, in numbers and in plain words: where the curves peak, and whether one follows another."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pyarrow as pa

from transect.errors import StudyError
from transect.plots import Curves
from transect.study.comparison import Comparison, Curve, compare, curve_of
from transect.study.wording import percent, summary

LEAST_FALL, LEAST_GROWTH = 1 / 3, 4.0
_COLUMNS = ("train_error", "test_error", "absolute_deviation", "normalised_deviation", "density")


@dataclass(frozen=True)
class Expectation:
    """Something the theory says should be seen, and what was.

    Attributes:
        claim: What is expected.
        found: What was found.
        holds: Whether it was.
    """

    claim: str
    found: str
    holds: bool


@dataclass(frozen=True)
class Verdict:
    """What a sweep says about nonlinearity, density and test error.

    Attributes:
        split: Split around whose samples the paths are.
        widths: Widths of the sweep.
        seeds: How many seeds.
        threshold: First width whose mean train error is below 1 %; None if there is none.
        test_error: The test error.
        deviation: Absolute deviation against it.
        normalised: Deviation over the standard deviation of the logits against it.
        density: Crossings per unit of length against it.
    """

    split: str
    widths: tuple[int, ...]
    seeds: int
    threshold: int | None
    test_error: Curve
    deviation: Comparison
    normalised: Comparison
    density: Comparison

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """What should be seen in a sweep that crosses the interpolation threshold, and whether it was."""
        peak, fall, growth = self.test_error.peak, self.deviation.curve.fall, self.density.curve.growth
        alone = f"taken alone, so do {self.deviation.seeds_near} of {self.seeds} seeds"
        near = f"widths {self.deviation.curve.peak} and {peak}" + (f"; {alone}" if self.seeds > 1 else "")
        sides = f"{self.deviation.left} up to it, {self.deviation.right} from it on"
        return (
            Expectation("deviation and test error peak at the same or neighbouring widths", near, self.deviation.near),
            Expectation(
                "their rank correlation is positive on each side of the peak",
                sides,
                self.deviation.left.is_positive and self.deviation.right.is_positive,
            ),
            Expectation(
                "deviation falls by a third or more from its peak to the largest width",
                f"by {percent(fall)}",
                fall >= LEAST_FALL,
            ),
            Expectation("density grows fourfold or more over the sweep", f"{growth:.1f} times", growth >= LEAST_GROWTH),
            Expectation(
                "density rises from every width to the next",
                "it does" if self.density.curve.rises else f"it peaks at {self.density.curve.peak}",
                self.density.curve.rises,
            ),
        )

    @property
    def holds(self) -> bool:
        """Whether every expectation holds."""
        return all(expectation.holds for expectation in self.expectations)

    def summary(self) -> str:
        """The verdict in plain words, some lines of text."""
        return summary(self)


def judge(table: pa.Table | str | os.PathLike[str], split: str = "train") -> Verdict:
    """Judge a sweep by its run table.

    Args:
        table: Run table of one study, every width with every seed, or the path of its Parquet file.
        split: Split around whose samples the paths are.

    Returns:
        The verdict.

    Raises:
        InvalidInput: If the table lacks columns, rows, widths or seeds.
        StudyError: If it has fewer than three widths: there is no curve to judge.
    """
    curves = Curves.of(table, split, _COLUMNS)
    if len(curves.widths) < 3:
        raise StudyError(f"expected at least three widths to judge a sweep by, got {list(curves.widths)}; add some")
    return Verdict(
        split=split,
        widths=curves.widths,
        seeds=len(curves.seeds),
        threshold=curves.interpolation_threshold(),
        test_error=curve_of(curves, "test_error"),
        deviation=compare(curves, "absolute_deviation"),
        normalised=compare(curves, "normalised_deviation"),
        density=compare(curves, "density"),
    )
