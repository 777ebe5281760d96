"""Whether kinds of paths (closed, open, random) have the same distribution of a measure: Kolmogorov-Smirnov tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.stats
from numpy.typing import NDArray

from transect.analysis.confidence import to_table
from transect.errors import InvalidInput
from transect.tables.files import as_table
from transect.tables.grouping import KIND, Group, distinct, groups, path_kinds_of, varying
from transect.tables.names import describe, name_of


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for being several, so that the chance of one or more false findings stays what it is for one.

    Args:
        p: P-values of tests, independent or not.

    Returns:
        Adjusted ones, in the same order: the k-th smallest of m is multiplied by m - k + 1, is not less than the ones
        before it, and not more than 1 (Holm, 1979, "A simple sequentially rejective multiple test procedure").
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]


SIGNIFICANT = 0.05


@dataclass(frozen=True)
class KindTest:
    """A two-sample Kolmogorov-Smirnov test between two kinds of paths.

    Attributes:
        values: The network and where the paths lie: column name to value.
        one: A kind, such as ``"closed"``.
        other: Another.
        statistic: Largest distance between the two empirical distribution functions.
        p: Probability of a distance this large, were the distributions the same.
        adjusted_p: The same, adjusted by :func:`~transect.analysis.kinds.holm` for all tests together.
        one_median: Median of the measure over the paths of the one kind.
        other_median: Of the other.
        one_paths: How many paths of the one kind.
        other_paths: Of the other.
    """

    values: Mapping[str, Any]
    one: str
    other: str
    statistic: float
    p: float
    adjusted_p: float
    one_median: float
    other_median: float
    one_paths: int
    other_paths: int

    @property
    def differs(self) -> bool:
        """Whether the adjusted p is below 5 %."""
        return self.adjusted_p < SIGNIFICANT


@dataclass(frozen=True)
class KindTests:
    """All tests of a path table that were made, and adjusted, together.

    Attributes:
        column: The measure.
        pooled: Whether paths were averaged over seeds.
        tests: The tests.
    """

    column: str
    pooled: bool
    tests: tuple[KindTest, ...]

    def table(self) -> pa.Table:
        """One row a test."""
        return to_table(
            {**test.values}
            | {name: getattr(test, name) for name in KindTest.__dataclass_fields__ if name != "values"}
            | {"differs": test.differs}
            for test in self.tests
        )

    def summary(self) -> str:
        """The tests in words, one line each, and how they were made."""
        unit = "each path's mean over seeds" if self.pooled else "the paths of one network"
        differing = sum(test.differs for test in self.tests)
        return "\n".join(
            [
                f"{name_of(self.column)} by kind of path: {differing} of {len(self.tests)} pairs differ",
                *(_line(test) for test in self.tests),
                f"Two-sample Kolmogorov-Smirnov tests over {unit}; p adjusted for the {len(self.tests)} tests together",
                f"(Holm), different below {SIGNIFICANT:.0%}. Paths of two kinds around the same samples are not",
                "independent, which p does not know.",
            ]
        )


def compare_kinds(
    paths: pa.Table | str | os.PathLike[str], column: str = "absolute_deviation", *, pool_seeds: bool = False
) -> KindTests:
    """Test every pair of kinds of paths, network by network.

    A kind is a ``kind``, what it is ``around``, and the settings that have no column, such as a radius: closed, open,
    random, ... Everything else that varies (width, seed, label noise, split, ...) sets networks and places apart and is
    never mixed.

    Args:
        paths: Path table, or rows of it, or the path of its Parquet file.
        column: The measure.
        pool_seeds: Average each path's measure over the networks of all seeds first. The paths stay the sample: the
            seeds' networks are measured along the same paths, and to count each path once a seed would claim more
            independent values than there are.

    Returns:
        The tests; p is that of ``scipy.stats.ks_2samp`` (two-sided), adjusted for all of them together.

    Raises:
        InvalidInput: If a column is not there or a value is missing, the table has one kind of path only, or seeds
            have different paths.
    """
    table = as_table(paths)
    _check(table, column)
    apart = (*KIND, *(("seed",) if pool_seeds else ()))
    networks = groups(table, varying(table, apart=apart))
    found = [test for network in networks for test in _pairs(network, table, column, pool_seeds)]
    if not found:
        raise InvalidInput(
            f"paths: expected two kinds of paths of one network at least, got {list(path_kinds_of(table))}."
        )
    adjusted = holm([test["p"] for test in found])
    tests = (KindTest(**test, adjusted_p=p) for test, p in zip(found, adjusted, strict=True))
    return KindTests(column, pool_seeds, tuple(tests))


def _pairs(network: Group, whole: pa.Table, column: str, pool_seeds: bool) -> Iterator[dict[str, Any]]:
    kinds = path_kinds_of(network.table, whole)
    for kind, rows in kinds.items():
        _refuse_mixture(kind, rows, network, pool_seeds)
    samples = {
        kind: _by_path(kind, rows, column) if pool_seeds else _values(rows, column) for kind, rows in kinds.items()
    }
    for one, other in itertools.combinations(samples, 2):
        test = scipy.stats.ks_2samp(samples[one], samples[other])
        yield {
            "values": network.values,
            "one": one,
            "other": other,
            "statistic": float(test.statistic),
            "p": float(test.pvalue),
            "one_median": float(np.median(samples[one])),
            "other_median": float(np.median(samples[other])),
            "one_paths": len(samples[one]),
            "other_paths": len(samples[other]),
        }


def _refuse_mixture(kind: str, rows: pa.Table, network: Group, pool_seeds: bool) -> None:
    """Refuse networks or ways of measuring that differ in a setting which has no column."""
    networks = len(distinct(rows, "seed")) if pool_seeds else 1
    for column, allowed in (("run", networks), ("measuring", 1)):
        found = distinct(rows, column)
        if len(found) > allowed:
            where = f" of {network.label}" if network.values else ""
            raise InvalidInput(
                f"paths: expected {allowed} value(s) of {column!r} among the {kind} paths{where}, "
                f"got {found}, which no other column tells apart; choose among them with select(table, {column}=...)."
            )


def _by_path(kind: str, rows: pa.Table, column: str) -> NDArray[np.float64]:
    """The mean over seeds of each path."""
    of_path = rows.group_by("path").aggregate([(column, "mean"), ("seed", "count_distinct"), ("seed", "count")])
    seeds = len(pc.unique(rows["seed"]))
    whole = pc.all(pc.equal(of_path["seed_count_distinct"], seeds)).as_py() and len(rows) == seeds * len(of_path)
    if not whole:
        raise InvalidInput(
            f"paths: to pool seeds, expected every path once with each of the {seeds} seeds; that is not so for "
            f"{kind} paths. Leave pool_seeds out, or choose the rows of seeds that have all."
        )
    return _values(of_path, f"{column}_mean")


def _values(table: pa.Table, column: str) -> NDArray[np.float64]:
    return np.asarray(table[column].to_numpy(), dtype=np.float64)


def _check(table: pa.Table, column: str) -> None:
    needed = ["kind", "around", "path", "seed", column]
    if missing := [name for name in needed if name not in table.column_names]:
        raise InvalidInput(f"paths: expected the columns {needed}; {missing} are not among {table.column_names}.")
    if empty := table[column].null_count:
        raise InvalidInput(
            f"paths: expected a number in every row of the column {column!r}, {empty} of {len(table)} have none; "
            "choose another column, or the rows that have one."
        )


def _line(test: KindTest) -> str:
    place = f"{describe(test.values)}: " if test.values else ""
    sign = ">" if test.one_median > test.other_median else "<"
    counts = f"{test.one_paths} and {test.other_paths} paths"
    return (
        f"  {place}{test.one} {sign} {test.other} (medians {test.one_median:.4g}, {test.other_median:.4g}; {counts}): "
        f"D {test.statistic:.3f}, adjusted p {test.adjusted_p:.2g}{'' if test.differs else ' (no difference shown)'}"
    )
