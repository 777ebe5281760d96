"""``Measurements``: a table with one row a model and path."""

from __future__ import annotations

import math
import os
import pathlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transect.errors import InvalidInput, MissingDependency, ScaleWarning, StudyError, check_one_of
from transect.measuring.columns import NUMBERS, OF_SCALE, SCHEMA
from transect.measuring.comparing import Comparison, compare_pairs
from transect.storage.tables import read_table, write_csv, write_table


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measures of models along paths. What ``transect.measure`` returns.

    Attributes:
        table: A row a (model, path), ordered by model and path; see :data:`transect.measuring.columns.SCHEMA`.
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
            return cls(read_table(path / "table.parquet" if path.is_dir() else path, SCHEMA))
        except StudyError as error:
            raise InvalidInput(str(error)) from error

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in order."""
        return tuple(dict.fromkeys(self.table["model"].to_pylist()))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries; what a method does not give is None."""
        return list(self.table.to_pylist())

    def of(self, model: str | int) -> Measurements:
        """The rows of one model, by name or position.

        Raises:
            InvalidInput: There is no such model.
        """
        wanted = self._name(model)
        return Measurements(self.table.filter(pa.array([name == wanted for name in self.table["model"].to_pylist()])))

    def column(self, name: str) -> NDArray[Any]:
        """One column as an array; numbers that are missing are NaN.

        Raises:
            InvalidInput: There is no such column.
        """
        check_one_of("name", name, self.table.column_names)
        found: NDArray[Any] = self.table[name].to_numpy()
        return found

    def compare(
        self, one: str | int, other: str | int, measure: str = "mean_deviation", confidence: float = 0.95
    ) -> Comparison:
        """Compare two models on the same paths, path by path.

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
        check_one_of("measure", measure, NUMBERS)
        if not isinstance(confidence, int | float) or not 0 < confidence < 1:
            raise InvalidInput(f"confidence: expected a number between 0 and 1, got {confidence!r}.")
        names = self._name(one), self._name(other)
        first, second = (self._by_path(name, measure) for name in names)
        shared = [path for path in first if path in second]
        pairs = np.array([(first[path], second[path]) for path in shared], dtype=np.float64).reshape(-1, 2)
        scales = self._scales(names, shared) if measure in OF_SCALE else None
        found = compare_pairs(*names, measure, pairs, float(confidence), scales)
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

    def to_pandas(self) -> Any:
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

    def _name(self, model: str | int) -> str:
        models = self.models
        if isinstance(model, int) and -len(models) <= model < len(models):
            return models[model]
        check_one_of("model", model, models, ", or a position")
        return str(model)

    def _scales(self, models: tuple[str, str], paths: Sequence[int]) -> tuple[float, float] | None:
        """Standard deviations of the outputs of two models: over a data set where both have them, or over anchors."""
        for column in ("output_std", "anchor_std"):
            of_each = [self._by_path(model, column) for model in models]
            one, other = (float(np.mean([known[path] for path in paths] or [np.nan])) for known in of_each)
            if max(one, other) > 0 and math.isfinite(one + other):
                return one, other
        return None

    def _by_path(self, model: str, measure: str) -> dict[int, float]:
        part = self.of(model)
        return dict(zip(part.column("path").tolist(), part.column(measure).tolist(), strict=True))
