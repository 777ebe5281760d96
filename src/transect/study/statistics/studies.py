"""Two studies side by side, such as one with and one without batch norm, or a fault of the released code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transect.errors import StudyError
from transect.labels import BASELINES, MEASURES, has_values
from transect.plots import Curves, sweeps
from transect.plots.curves import as_table
from transect.plots.grouping import Group
from transect.plots.peaks import rule_of
from transect.study.ranks import RankCorrelation, rank_correlation
from transect.study.statistics.bootstrap import Interval, interval_of
from transect.study.statistics.pairing import Pairing, pair
from transect.study.statistics.peaks import Peak, peak_of
from transect.study.statistics.ratios import difference, geometric_mean_ratio, ratio
from transect.study.statistics.rows import ends, to_table
from transect.study.statistics.studies_wording import summary

ERRORS = ("train_error", "test_error")


@dataclass(frozen=True)
class PairedValue:
    """A column at one width or epoch, in both studies: means over the seeds that both have.

    Attributes:
        position: The width or epoch.
        a: Mean in the one study.
        b: Mean in the other.
        ratio: b / a; NaN where a is zero.
        ratio_interval: Bootstrap interval over seeds, 95 %; None for one seed.
        difference: b - a.
        difference_interval: Likewise.
    """

    position: int
    a: float
    b: float
    ratio: float
    ratio_interval: Interval | None
    difference: float
    difference_interval: Interval | None


@dataclass(frozen=True)
class PairedCurve:
    """A column over a sweep, in both studies.

    Attributes:
        values: What sets the sweep apart from the others: column name to value.
        over: ``"width"`` or ``"epoch"``.
        column: The column.
        seeds: How many seeds both studies have.
        points: Both curves, position by position.
        correlation: Rank correlation between them.
        peak_a: Peak of the one.
        peak_b: Peak of the other.
        mean_ratio: Geometric mean of the ratio over the positions; NaN where a mean is not positive.
        mean_ratio_interval: Bootstrap interval over seeds.
    """

    values: Mapping[str, Any]
    over: str
    column: str
    seeds: int
    points: tuple[PairedValue, ...]
    correlation: RankCorrelation
    peak_a: Peak
    peak_b: Peak
    mean_ratio: float
    mean_ratio_interval: Interval | None


@dataclass(frozen=True)
class StudyComparison:
    """Two studies, paired network by network.

    Attributes:
        names: What they are called.
        differences: What sets them apart: column name to the values of either.
        left_out: Rows of either that have no partner.
        not_compared: Columns for which either has no values.
        curves: Every column over every sweep.
    """

    names: tuple[str, str]
    differences: Mapping[str, tuple[list[Any], list[Any]]]
    left_out: tuple[int, int]
    not_compared: tuple[str, ...]
    curves: tuple[PairedCurve, ...]

    def table(self) -> pa.Table:
        """One row a sweep, column and position: means ``a`` and ``b``, ratio and difference with their intervals."""
        return to_table(
            {**curve.values, curve.over: point.position, "column": curve.column, "seeds": curve.seeds, **_point(point)}
            for curve in self.curves
            for point in curve.points
        )

    def curves_table(self) -> pa.Table:
        """One row a sweep and column: rank correlation of the two curves, their peaks, the mean ratio."""
        return to_table(_curve(curve) for curve in self.curves)

    def summary(self) -> str:
        """The comparison in words."""
        return summary(self)


def compare_studies(
    a: pa.Table | str | os.PathLike[str],
    b: pa.Table | str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    *,
    names: tuple[str, str] = ("A", "B"),
    over: str = "width",
) -> StudyComparison:
    """Compare two studies network by network: same width, seed, epoch, data, paths, but for what sets them apart.

    Seeds are the unit that is resampled, the same draw for both studies.

    Args:
        a: Run table of the one study, or rows of it, or the path of its Parquet file.
        b: Of the other. Two parts of one table do as well: ``select(table, legacy="")`` and another.
        columns: Which columns; errors, measures and baselines of which both have all values where None.
        names: What to call them.
        over: ``"width"`` or ``"epoch"``.

    Returns:
        The comparison.

    Raises:
        InvalidInput: If a column is not there or has empty rows, or a seed is missing at some width.
        StudyError: If no network is in both, or rows of a study cannot be told apart.
    """
    paired = pair(as_table(a), as_table(b))
    all_columns = (*ERRORS, *MEASURES, *BASELINES)
    both = [name for name in all_columns if has_values(paired.a, name) and has_values(paired.b, name)]
    chosen = both if columns is None else list(columns)
    if not chosen:
        raise StudyError(f"expected a column with values in both studies, one of {list(all_columns)}; there is none")
    return StudyComparison(
        names=names,
        differences=paired.differences,
        left_out=paired.left_out,
        not_compared=tuple(name for name in all_columns if name not in both) if columns is None else (),
        curves=tuple(_paired_curves(paired, chosen, over)),
    )


def _paired_curves(paired: Pairing, columns: Sequence[str], over: str) -> Iterator[PairedCurve]:
    for ours, theirs in zip(sweeps(paired.a, over), sweeps(paired.b, over), strict=True):
        one, other = (Curves.of(sweep.table, None, columns, over) for sweep in (ours, theirs))
        for column in columns:
            yield _paired_curve(ours, one, other, column)


def _paired_curve(sweep: Group, one: Curves, other: Curves, column: str) -> PairedCurve:
    a, b = one.values[column], other.values[column]
    rule = rule_of(column)
    return PairedCurve(
        values=sweep.values,
        over=one.over,
        column=column,
        seeds=len(one.seeds),
        points=tuple(_paired_value(position, a[i], b[i]) for i, position in enumerate(one.positions)),
        correlation=rank_correlation(a, b, one.positions, one.over),
        peak_a=peak_of(a, one.positions, rule),
        peak_b=peak_of(b, one.positions, rule),
        mean_ratio=float(geometric_mean_ratio(a.mean(1), b.mean(1))),
        mean_ratio_interval=interval_of(geometric_mean_ratio, a, b),
    )


def _paired_value(position: int, a: NDArray[np.float64], b: NDArray[np.float64]) -> PairedValue:
    mean_a, mean_b = a.mean(keepdims=True), b.mean(keepdims=True)
    return PairedValue(
        position=position,
        a=float(mean_a[0]),
        b=float(mean_b[0]),
        ratio=float(ratio(mean_a, mean_b)),
        ratio_interval=interval_of(ratio, a[None], b[None]),
        difference=float(difference(mean_a, mean_b)),
        difference_interval=interval_of(difference, a[None], b[None]),
    )


def _point(point: PairedValue) -> dict[str, Any]:
    return {
        "a": point.a,
        "b": point.b,
        "ratio": point.ratio,
        **ends("ratio", point.ratio_interval),
        "difference": point.difference,
        **ends("difference", point.difference_interval),
    }


def _curve(curve: PairedCurve) -> dict[str, Any]:
    return {
        **curve.values,
        "over": curve.over,
        "column": curve.column,
        "seeds": curve.seeds,
        "rank_correlation": curve.correlation.value,
        **ends("rank_correlation", curve.correlation.interval),
        "peak_a": curve.peak_a.position,
        **ends("peak_a", curve.peak_a.interval),
        "peak_b": curve.peak_b.position,
        **ends("peak_b", curve.peak_b.interval),
        "mean_ratio": curve.mean_ratio,
        **ends("mean_ratio", curve.mean_ratio_interval),
    }
