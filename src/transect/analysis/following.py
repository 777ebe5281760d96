"""Which measures and baselines follow the test error, in every sweep that a run table holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from transect.analysis.comparison import Curve, CurveComparison, compare, curve_of
from transect.analysis.confidence import columns_of, mean_of, to_table
from transect.analysis.peaks import Peak
from transect.errors import StudyError
from transect.tables.curves import Curves
from transect.tables.files import as_table
from transect.tables.grouping import Group, sweeps
from transect.tables.names import describe, name_of, setting_name, several, with_values

FEWEST = 3  # positions without which there is no curve


@dataclass(frozen=True)
class Following:
    """One sweep: its columns against the test error.

    Attributes:
        values: What sets the sweep apart from the others of its table: column name to value.
        over: ``"width"``, ``"epoch"`` or another column of numbers.
        positions: The widths, epochs, ...
        seeds: How many seeds.
        threshold: First position whose mean train error is below 1 %; None if there is none.
        test_error: The test error.
        comparisons: Each column against it.
    """

    values: Mapping[str, Any]
    over: str
    positions: tuple[float, ...]
    seeds: int
    threshold: float | None
    test_error: Curve
    comparisons: tuple[CurveComparison, ...]

    @property
    def label(self) -> str:
        """What sets the sweep apart, in words; empty where there is nothing."""
        return describe(self.values)

    @property
    def has_inner_peak(self) -> bool:
        """Whether the test error peaks inside the sweep: at an end there is one side only, and nothing to follow."""
        return 0 < self.test_error.peak.place < len(self.positions) - 1

    def of(self, column: str) -> CurveComparison:
        """The comparison of a column."""
        return next(each for each in self.comparisons if each.column == column)


def follow_test_error(
    table: pa.Table | str | os.PathLike[str], columns: Sequence[str] | None = None, over: str = "width"
) -> tuple[Following, ...]:
    """Compare measures and baselines with the test error, over width, epoch or another setting, sweep by sweep.

    Args:
        table: Run table, or rows of it (:func:`transect.plots.select`), or the path of its Parquet file.
        columns: Which columns; every measure and baseline that has a value in each row of a sweep where None.
        over: ``"width"``, ``"epoch"`` or another column of numbers.

    Returns:
        One for each sweep (:func:`transect.plots.sweeps`).

    Raises:
        InvalidInput: If a column is not there or has empty rows, or a sweep lacks positions or seeds.
        StudyError: If a sweep has fewer than three positions: there is no curve to compare.
    """
    return tuple(follow_in(sweep, columns, over) for sweep in sweeps(as_table(table), over))


def follow_in(sweep: Group, columns: Sequence[str] | None = None, over: str = "width") -> Following:
    """:func:`follow_test_error` in one sweep.

    Raises:
        InvalidInput: If a column is not there or has empty rows, or positions or seeds are missing.
        StudyError: If there are fewer than three positions.
    """
    curves = curves_of(sweep, columns, over)
    if len(curves.positions) < FEWEST:
        where = f" ({sweep.label})" if sweep.values else ""
        raise StudyError(
            f"expected at least {FEWEST} {several(setting_name(over))} in a sweep, got {list(curves.positions)}{where}"
            "; add some, or choose rows that have them"
        )
    compared = [column for column in with_values(sweep.table, columns) if column != "test_error"]
    return Following(
        values=sweep.values,
        over=over,
        positions=curves.positions,
        seeds=len(curves.seeds),
        threshold=curves.interpolation_threshold(),
        test_error=curve_of(curves, "test_error"),
        comparisons=tuple(compare(curves, column) for column in compared),
    )


def following_table(followings: Sequence[Following]) -> pa.Table:
    """Sweeps against the test error as a table: one row a sweep and column.

    ``peak`` is where the column is largest, ``error_peak`` where the test error is, each with the fitted position
    (:class:`~transect.analysis.peaks.Peak`); ``peaks_apart`` is the ratio of the two; ``left``, ``right`` and
    ``whole`` are rank correlations up to the error's peak, from it on, and over all; each with the ends of its interval
    over seeds. Empty where a number is not defined.
    """
    return to_table(_row(following, each) for following in followings for each in following.comparisons)


def curves_table(
    table: pa.Table | str | os.PathLike[str], columns: Sequence[str] | None = None, over: str = "width"
) -> pa.Table:
    """Means over seeds of measures, baselines and errors: one row a sweep, column and position.

    Args:
        table: As for :func:`follow_test_error`.
        columns: Likewise; the errors are always there too.
        over: ``"width"``, ``"epoch"`` or another column of numbers.

    Returns:
        The table: ``mean``, its interval over seeds (``mean_low``, ``mean_high``), sample standard deviation over seeds
        (``spread``).

    Raises:
        InvalidInput: As :func:`follow_test_error`.
    """
    found = sweeps(as_table(table), over)
    return to_table(row for sweep in found for row in _mean_rows(sweep, columns, over))


def curves_of(sweep: Group, columns: Sequence[str] | None, over: str) -> Curves:
    """The curves of a sweep, errors among them.

    Raises:
        InvalidInput: As :meth:`transect.plots.Curves.of`.
    """
    wanted = dict.fromkeys(("train_error", "test_error", *with_values(sweep.table, columns)))
    return Curves.of(sweep.table, None, tuple(wanted), over)


def _row(following: Following, comparison: CurveComparison) -> dict[str, Any]:
    return {
        **following.values,
        "over": following.over,
        "column": comparison.column,
        "seeds": following.seeds,
        **_peak("peak", comparison.curve.peak),
        **_peak("error_peak", following.test_error.peak),
        **columns_of("peaks_apart", comparison.apart),
        "near": comparison.near.words,
        **columns_of("left", comparison.left),
        **columns_of("right", comparison.right),
        **columns_of("whole", comparison.whole),
        "follows": comparison.follows.words,
    }


def _peak(name: str, peak: Peak) -> dict[str, Any]:
    return {name: peak.position, **columns_of(f"{name}_fitted", peak.fitted)}


def _mean_rows(sweep: Group, columns: Sequence[str] | None, over: str) -> Iterator[dict[str, Any]]:
    curves = curves_of(sweep, columns, over)
    several = len(curves.seeds) > 1
    for column, values in curves.values.items():
        spread = curves.spread(column)
        for place, position in enumerate(curves.positions):
            yield {
                **sweep.values,
                over: position,
                "column": column,
                "name": name_of(column),
                "seeds": len(curves.seeds),
                **columns_of("mean", mean_of(values[place])),
                "spread": float(spread[place]) if several else None,
            }
