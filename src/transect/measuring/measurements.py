"""``Measurements``: a table with one row a model and path, or plane."""

from __future__ import annotations

import math
import os
import pathlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transect.analysis.confidence import FEWEST_PATHS, MeanWithInterval, mean_of
from transect.errors import InvalidInput, MissingDependency, ScaleWarning, StudyError, check_one_of
from transect.measuring.kinds import PATHS, PLANES, Kind, kind_of_table
from transect.support.types import Row
from transect.tables.files import is_own, read_table, write_csv, write_table

if TYPE_CHECKING:
    import pandas

_SAME_SCALE = 1.5


@dataclass(frozen=True)
class Comparison:
    """A measure of two models, paired over paths or planes.

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
        noun: What they are paired over: ``"path"`` or ``"plane"``.
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
    noun: str = "path"

    @property
    def scales_differ(self) -> bool:
        """Whether the scales of the outputs differ by a factor of more than 1.5: they are part of the difference."""
        return self.scales is not None and max(self.scales) > _SAME_SCALE * min(self.scales)

    def __str__(self) -> str:
        def shown(value: float, ends: tuple[float, float]) -> str:
            return MeanWithInterval(value, None if math.isnan(ends[0]) else ends).told("{:.4g}")

        sure = math.isfinite(self.difference_interval[0])
        nouns = f"{self.noun}s"
        over = f"{self.confidence:.0%} over {nouns}" if sure else f"no interval: fewer than {FEWEST_PATHS} {nouns}"
        left_out = f", {self.left_out} left out" if self.left_out else ""
        return (
            f"{self.measure} on {self.pairs} {nouns}{left_out}: {self.one} {self.means[0]:.4g}, {self.other} "
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
    noun: str = "path",
) -> Comparison:
    """Compare values of two models, ``(N, 2)``, a row a path; with the scales of their outputs, where these matter.

    Raises:
        InvalidInput: No path has values of both.
    """
    known = pairs[~np.isnan(pairs).any(1)]
    if not len(known):
        raise InvalidInput(
            f"measure: no {noun} has {measure!r} of both {one!r} and {other!r}; measure both on the same {noun}s, with "
            "a method that gives it."
        )
    logarithms = np.log(known[:, 0] / known[:, 1]) if (known > 0).all() else np.full(1, np.nan)
    difference, ratio = (
        mean_of(values, noun, FEWEST_PATHS, confidence=confidence) for values in (known[:, 0] - known[:, 1], logarithms)
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
        noun=noun,
    )


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measures of models along paths, or on planes. What ``transect.measure`` returns.

    Attributes:
        table: A row a (model, path), ordered by model and path; see :data:`transect.measuring.columns.SCHEMA`, and of
            planes :data:`transect.measuring.planes.PLANE_SCHEMA`.
    """

    table: pa.Table

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Measurements:
        """Read what :meth:`save` wrote as Parquet, or the folder that ``measure`` was given.

        Raises:
            InvalidInput: There is no such table, or it is of another kind or version.
        """
        path = pathlib.Path(path)
        try:
            return cls(read_table(path / "table.parquet" if path.is_dir() else path, PATHS.schema, PLANES.schema))
        except StudyError as error:
            raise InvalidInput(str(error)) from error

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in order."""
        return tuple(dict.fromkeys(self.table["model"].to_pylist()))

    @property
    def rows(self) -> list[Row]:
        """The rows as dictionaries; what a method does not give is None."""
        return list(self.table.to_pylist())

    def of(self, model: str | int) -> Measurements:
        """The rows of one model, by name or position.

        Raises:
            InvalidInput: There is no such model.
        """
        wanted = self._name(model)
        return Measurements(self.table.filter(pa.array([name == wanted for name in self.table["model"].to_pylist()])))

    def column(self, name: str) -> NDArray[np.generic]:
        """One column as an array; numbers that are missing are NaN.

        Raises:
            InvalidInput: There is no such column.
        """
        check_one_of("name", name, self.table.column_names)
        found: NDArray[np.generic] = self.table[name].to_numpy()
        return found

    def compare(
        self, one: str | int, other: str | int, measure: str = "mean_deviation", confidence: float = 0.95
    ) -> Comparison:
        """Compare two models on the same paths, path by path, or on the same planes.

        The path is the unit: intervals say how far the result depends on the paths that were drawn,
        taken as independent, and nothing about other trainings of the models.

        Args:
            one: A model, by name or position.
            other: The other.
            measure: Any column of numbers.
            confidence: Coverage of the intervals.

        Returns:
            Difference of the means, and ratio of the geometric means, with Student's t intervals over the paths.

        Raises:
            InvalidInput: There is no such model or measure, or the two have no path in common.
        """
        own = (name for name in self.table.column_names if is_own(name))
        kind = self._kind
        check_one_of("measure", measure, (*kind.numbers, *own))
        if not isinstance(confidence, int | float) or not 0 < confidence < 1:
            raise InvalidInput(f"confidence: expected a number between 0 and 1, got {confidence!r}.")
        names = self._name(one), self._name(other)
        first, second = (self._by_path(name, measure) for name in names)
        shared = [path for path in first if path in second]
        pairs = np.array([(first[path], second[path]) for path in shared], dtype=np.float64).reshape(-1, 2)
        scales = self._scales(names, shared) if measure in kind.of_scale else None
        found = compare_pairs(*names, measure, pairs, float(confidence), scales, kind.noun)
        if found.scales_differ:
            warnings.warn(
                f"{found}. Compare 'normalised_deviation' of models that were measured with data=... as well, or a "
                "measure without a scale, such as 'flips'.",
                ScaleWarning,
                stacklevel=2,
            )
        return found

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write the table as Parquet or CSV, by the suffix of ``path``, whole or not at all.

        Raises:
            InvalidInput: The suffix is another one.
        """
        path = pathlib.Path(path)
        if path.suffix == ".parquet":
            return write_table(self.table, path, csv=False)
        if path.suffix != ".csv":
            raise InvalidInput(f"path: expected a name that ends in .parquet or .csv, got {path.name}.")
        return write_csv(self.table, path)

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a ``pandas.DataFrame``.

        Raises:
            MissingDependency: pandas is not installed.
        """
        try:
            return self.table.to_pandas()
        except ImportError as error:
            raise MissingDependency("to_pandas needs pandas: pip install pandas, or use .rows or .table.") from error

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        models, methods = self.models, sorted(set(self.table["method"].to_pylist()))
        shown = ", ".join(models[:4]) + (", ..." if len(models) > 4 else "")
        number = f"{len(models)} model{'' if len(models) == 1 else 's'}"
        return f"Measurements({len(self)} rows; {number}: {shown}; {', '.join(methods)})"

    @property
    def _kind(self) -> Kind:
        return kind_of_table(self.table)

    def _name(self, model: str | int) -> str:
        models = self.models
        if isinstance(model, int) and -len(models) <= model < len(models):
            return models[model]
        check_one_of("model", model, models, ", or a position")
        return str(model)

    def _scales(self, models: tuple[str, str], paths: Sequence[int]) -> tuple[float, float] | None:
        """Standard deviations of the outputs of two models: over a data set where both have them, or over anchors."""
        for column in self._kind.scales:
            of_each = [self._by_path(model, column) for model in models]
            one, other = (float(np.mean([known[path] for path in paths] or [np.nan])) for known in of_each)
            if max(one, other) > 0 and math.isfinite(one + other):
                return one, other
        return None

    def _by_path(self, model: str, measure: str) -> dict[int, float]:
        part = self.of(model)
        return dict(zip(part.column(self._kind.noun).tolist(), part.column(measure).tolist(), strict=True))
