"""Two studies side by side, such as one with and one without batch norm, in numbers and words."""

from __future__ import annotations

import itertools
import os
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transect.analysis.comparison import rank_correlation
from transect.analysis.confidence import FEWEST_SEEDS, MeanWithInterval, columns_of, mean_of, to_table
from transect.analysis.peaks import Peak, peak_of
from transect.errors import StudyError
from transect.tables.curves import Curves
from transect.tables.files import as_table
from transect.tables.grouping import Group, distinct, identifying, sweeps
from transect.tables.names import BASELINES, MEASURES, describe, has_values, name_of, setting_name, several

_APART = ("study", "epoch", "last")
_ALWAYS_SHARED = ("width", "seed")
Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Pairing:
    """Rows of two run tables, partner by partner.

    Attributes:
        a: Rows of the one study that have a partner.
        b: Their partners, in the same order; what the studies differ in is as in ``a``, so that both fall apart into
            the same sweeps.
        differences: What they differ in: column name to the values of either.
        left_out: Rows of either study that have no partner.
    """

    a: pa.Table
    b: pa.Table
    differences: dict[str, tuple[list[Any], list[Any]]]
    left_out: tuple[int, int]


def pair(a: pa.Table, b: pa.Table) -> Pairing:
    """Find the partner of every row.

    Partners agree in width, seed, epoch and every other identifying column (label noise, kind of paths, ...) but those
    of which the studies have no value in common, such as ``batch_norm`` where one study has it and the other has not.
    Trained networks are partners whatever their last epoch is.

    Args:
        a: Run table of the one study.
        b: Of the other.

    Returns:
        The pairs.

    Raises:
        StudyError: If no row has a partner, or several rows of a study are alike in all these columns.
    """
    columns = [name for name in identifying(a) if name in identifying(b)]
    values = {name: (distinct(a, name), distinct(b, name)) for name in columns if name not in _APART}
    differences = {
        name: both for name, both in values.items() if name not in _ALWAYS_SHARED and not set(both[0]) & set(both[1])
    }
    shared = [name for name in values if name not in differences]
    rows_a, rows_b = (_keyed(table, shared, name) for table, name in ((a, "first"), (b, "second")))
    partners = [key for key in rows_a if key in rows_b]
    if not partners:
        found = {name: values[name] for name in (*differences, "width", "seed") if name in values}
        raise StudyError(
            f"expected networks that are in both studies, found none that agree in {shared}; values of either: {found}"
        )
    ours, theirs = (table.take([rows[key] for key in partners]) for table, rows in ((a, rows_a), (b, rows_b)))
    for name in (*differences, *(name for name in _APART if name in columns)):
        theirs = theirs.set_column(theirs.schema.get_field_index(name), name, ours[name])
    return Pairing(ours, theirs, differences, (len(a) - len(partners), len(b) - len(partners)))


def _keyed(table: pa.Table, shared: list[str], which: str) -> dict[Key, int]:
    moments = zip(*(_column(table, name) for name in ("last", "epoch")), strict=True)
    values = zip(*(_column(table, name) for name in shared), strict=True)
    keys = [(*key, None if last else epoch) for key, (last, epoch) in zip(values, moments, strict=True)]
    if repeated := [key for key, count in Counter(keys).items() if count > 1]:
        raise StudyError(
            f"expected one row of the {which} study for each {', '.join(shared)} and epoch; several have "
            f"{repeated[0]}. Choose the rows of one with select(table, run=...) or select(table, measuring=...)"
        )
    return {key: place for place, key in enumerate(keys)}


def _column(table: pa.Table, name: str) -> list[Any]:
    return table[name].to_pylist() if name in table.column_names else [None] * len(table)


ERRORS = ("train_error", "test_error")
_WIDE = 110
_COLUMNS = "  {:<23} {:<25} {:<21} {:<18} {}"


@dataclass(frozen=True)
class PairedValue:
    """A column at one position, in both studies: means over the seeds that both have.

    Attributes:
        position: The width, epoch, ...
        a: Mean in the one study.
        b: Mean in the other.
        ratio: Geometric mean of b / a over seeds; not defined where one is not positive.
        difference: Mean of b - a.
    """

    position: float
    a: float
    b: float
    ratio: MeanWithInterval
    difference: MeanWithInterval


@dataclass(frozen=True)
class PairedCurve:
    """A column over a sweep, in both studies.

    Attributes:
        values: What sets the sweep apart from the others: column name to value.
        over: ``"width"``, ``"epoch"`` or another column of numbers.
        column: The column.
        seeds: How many seeds both studies have.
        points: Both curves, position by position.
        correlation: Rank correlation between them.
        peak_a: Peak of the one.
        peak_b: Peak of the other.
        mean_ratio: Geometric mean of the ratio over the positions and seeds; not defined where a value is not positive.
    """

    values: Mapping[str, Any]
    over: str
    column: str
    seeds: int
    points: tuple[PairedValue, ...]
    correlation: MeanWithInterval
    peak_a: Peak
    peak_b: Peak
    mean_ratio: MeanWithInterval


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
        """The comparison in words, in lines of at most 110 characters."""
        return "\n".join([*_headline(self), *_sweeps(self), "", *_notes(self)])


def compare_studies(
    a: pa.Table | str | os.PathLike[str],
    b: pa.Table | str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    *,
    names: tuple[str, str] = ("A", "B"),
    over: str = "width",
) -> StudyComparison:
    """Compare two studies network by network: same width, seed, epoch, data, paths, but for what sets them apart.

    A network is paired with its partner of the same seed; intervals are Student's t over seeds.

    Args:
        a: Run table of the one study, or rows of it, or the path of its Parquet file.
        b: Of the other. Two parts of one table do as well: ``select(table, legacy="")`` and another.
        columns: Which columns; errors, measures and baselines of which both have all values where None.
        names: What to call them.
        over: ``"width"``, ``"epoch"`` or another column of numbers.

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
    return PairedCurve(
        values=sweep.values,
        over=one.over,
        column=column,
        seeds=len(one.seeds),
        points=tuple(_paired_value(position, a[i], b[i]) for i, position in enumerate(one.positions)),
        correlation=rank_correlation(a, b),
        peak_a=peak_of(a, one.positions, column),
        peak_b=peak_of(b, one.positions, column),
        mean_ratio=mean_of(_log_ratio(a, b).mean(0), positions=len(a)).exp(),
    )


def _paired_value(position: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> PairedValue:
    return PairedValue(position, float(a.mean()), float(b.mean()), mean_of(_log_ratio(a, b)).exp(), mean_of(b - a))


def _log_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of b / a; NaN where one is not positive."""
    positive = (a > 0) & (b > 0)
    return np.asarray(np.log(np.where(positive, b, np.nan)) - np.log(np.where(positive, a, np.nan)))


def _point(point: PairedValue) -> dict[str, Any]:
    found = columns_of("ratio", point.ratio) | columns_of("difference", point.difference)
    return {"a": point.a, "b": point.b, **found}


def _curve(curve: PairedCurve) -> dict[str, Any]:
    return {
        **curve.values,
        "over": curve.over,
        "column": curve.column,
        "seeds": curve.seeds,
        **columns_of("rank_correlation", curve.correlation),
        "peak_a": curve.peak_a.position,
        **columns_of("peak_a_fitted", curve.peak_a.fitted),
        "peak_b": curve.peak_b.position,
        **columns_of("peak_b_fitted", curve.peak_b.fitted),
        **columns_of("mean_ratio", curve.mean_ratio),
    }


def _headline(comparison: StudyComparison) -> Iterator[str]:
    a, b = comparison.names
    yield f"{b} against {a}, network by network"
    for name, (ours, theirs) in comparison.differences.items():
        values = (" and ".join(describe({name: value}) for value in side) for side in (ours, theirs))
        yield f"  {a}: {next(values)}; {b}: {next(values)}"


def _sweeps(comparison: StudyComparison) -> Iterator[str]:
    a, b = comparison.names
    for values, curves in itertools.groupby(comparison.curves, key=lambda curve: curve.values):
        found = list(curves)
        first, last = (found[0].points[place].position for place in (0, -1))
        seeds = "one seed" if found[0].seeds == 1 else f"{found[0].seeds} seeds"
        yield ""
        place = f"{describe(values)}: " if values else ""
        over = several(setting_name(found[0].over))
        yield f"{place}{len(found[0].points)} {over} from {first} to {last}, {seeds}"
        yield _COLUMNS.format("", f"{b} / {a}, mean over {over}", "rank correlation", f"peak {a}", f"peak {b}")
        yield from map(_line, found)


def _line(curve: PairedCurve) -> str:
    ratio, correlation = curve.mean_ratio.told(), curve.correlation.told("{:+.2f}")
    peaks = (
        f"{peak.position:g}" + (" [{:.3g}, {:.3g}]".format(*ends) if (ends := peak.fitted.interval) else "")
        for peak in (curve.peak_a, curve.peak_b)
    )
    return _COLUMNS.format(name_of(curve.column), ratio, correlation, *peaks).rstrip()


def _notes(comparison: StudyComparison) -> Iterator[str]:
    notes = ["The mean of the ratios is the geometric one, not defined where a value is zero."]
    if any(curve.mean_ratio.interval for curve in comparison.curves):
        notes.append("[low, high]: 95 % intervals over the seeds that both have (Student's t).")
    else:
        notes.append(f"No intervals: they need {FEWEST_SEEDS} seeds, each with a value that is defined.")
    if any(comparison.left_out):
        counts = (f"{rows} rows of {name}" for rows, name in zip(comparison.left_out, comparison.names, strict=True))
        notes.append(f"Left out, without a partner: {', '.join(counts)}.")
    if comparison.not_compared:
        names = ", ".join(map(name_of, comparison.not_compared))
        notes.append(f"Not compared, since a study has no values: {names}.")
    for note in notes:
        yield from textwrap.wrap(note, _WIDE)
