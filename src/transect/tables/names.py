"""What columns, settings and kinds of paths are called: in tables for people, beside axes, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transect.errors import InvalidInput
from transect.measures import MEASURES as LISTED
from transect.tables.files import OWN, is_own

_LABELS = {measure.name: measure.label for measure in LISTED}
_NOT_OF_STUDIES = ("normalised_deviation", "linear_crossings")
MEASURES = {
    "absolute_deviation": _LABELS["absolute_deviation"],
    "scaled_deviation": "deviation / logit std",
    **{name: label for name, label in _LABELS.items() if name not in _NOT_OF_STUDIES},
}
"""Measures along paths, and their names."""

BASELINES = {
    "parameters": "parameters",
    "train_loss": "train loss",
    "logit_std": "logit std",
    "weight_norm": "weight norm",
}
"""What every study reports beside its measures: what a reader might take for their cause."""

NAMES = {
    **_LABELS,
    **MEASURES,
    **BASELINES,
    "train_error": "train error",
    "validation_error": "validation error",
    "test_error": "test error",
    "test_loss": "test loss",
    "path_length": "path length",
    "anchor_crossings": "anchor crossings",
    "path_crossings": "crossings and anchor crossings",
}
"""Columns of numbers and their names."""


def has_values(table: pa.Table, column: str) -> bool:
    """Whether a table has a column, and a value in each of its rows."""
    return column in table.column_names and table[column].null_count == 0


def name_of(column: str) -> str:
    """Name of a column for people; its own with spaces where it has no better one."""
    return NAMES.get(column, column.removeprefix(OWN).replace("_", " "))


def with_values(table: pa.Table, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Those columns that were asked for; by default every measure and baseline that has a value in each row.

    Raises:
        InvalidInput: If nothing was asked for, and there is none.
    """
    if columns is not None:
        return tuple(columns)
    own = (column for column in table.column_names if is_own(column) and not column.endswith(("_std", "_low", "_high")))
    found = tuple(column for column in (*MEASURES, *own, *BASELINES) if has_values(table, column))
    if not found:
        raise InvalidInput(
            f"table: expected a measure or baseline with a value in every row, one of {[*MEASURES, *BASELINES]}; "
            f"none of the columns {table.column_names} is one."
        )
    return found


def count_column(table: pa.Table) -> str:
    """``crossings`` where a table has them; else ``flips``, which an estimate gives too."""
    return "flips" if has_values(table, "flips") and not has_values(table, "crossings") else "crossings"


_WALKED = {
    "circle": "closed translation paths",
    "arc": "open translation paths",
    "shift_scale_circle": "closed (shift, scale) paths",
    "between_same_class": "straight lines between samples of one class",
    "between_classes": "straight lines between samples of two classes",
}
_SHAPES = {"circle": "closed", "shift_scale_circle": "closed", "arc": "open"}
_WRITTEN: dict[str, str] = {
    "data": "{}",
    "study": "{}",
    "model": "{}",
    "width": "width {}",
    "seed": "seed {}",
    "epoch": "epoch {}",
    "kind": "{} paths",
    "around": "around {}",
    "split": "{} split",
    "samples": "{} samples",
    "method": "{}",
    "variant": "{}",
    "way": "{}",
}


def describe(values: Mapping[str, Any]) -> str:
    """Values of identifying columns in words, such as ``"20 % label noise, closed paths around random"``.

    What has no value, such as the width of a model that has none, is passed over, unless there is nothing else.
    """
    said = [_word(name, value) for name, value in values.items() if value is not None]
    return ", ".join(said or [f"no {setting_name(name)}" for name in values])


def walked(table: pa.Table) -> str:
    """Along which paths the rows of a table were measured, such as ``"48 closed (shift, scale) paths around samples of
    the train split, exact"``; what a table does not say is left out."""
    around = ["random images" if each == "random" else "samples" for each in _values(table, "around")]
    which = " ".join(each for each in _values(table, "samples") if each != "all")
    splits = [each for each in _values(table, "split") if each]
    paths = [
        " to ".join(f"{count:,.0f}" for count in dict.fromkeys((counts[0], counts[-1])))
        for counts in [_values(table, "paths")]
        if counts
    ]
    kinds = [_WALKED.get(kind, f"{str(kind).replace('_', ' ')} paths") for kind in _values(table, "kind")] or ["paths"]
    lines = all("lines" in kind for kind in kinds)
    where = f"around {which} {_joined(around)}".replace("  ", " ") if around and not lines else ""
    place = f"of the {_joined(splits)} split" if splits and "random images" not in around else ""
    methods = {"exact": "traced exactly", "estimate": "estimated"}
    how = _joined([methods.get(each, str(each)) for each in _values(table, "method")])
    return ", ".join(filter(None, [" ".join(filter(None, [*paths, _joined(kinds), where, place])), how]))


def _values(table: pa.Table, name: str) -> list[Any]:
    if name not in table.column_names:
        return []
    return sorted(value for value in pc.unique(table[name]).to_pylist() if value is not None)


def _joined(words: list[str]) -> str:
    return " and ".join(dict.fromkeys(words))


def path_kind(kind: str, around: str) -> str:
    """Name of a kind of path: ``"closed"``, ``"open"``, ``"random"`` (closed, around random images), ..."""
    shape = _SHAPES.get(kind, kind.replace("_", " "))
    if around != "random":
        return shape
    return "random" if shape == "closed" else f"random, {shape}"


def _word(name: str, value: Any) -> str:
    if name == "label_noise":
        return f"{100 * value:g} % label noise"
    if name == "batch_norm":
        return "batch norm" if value else "no batch norm"
    if name == "last":
        return "trained" if value else "in training"
    if name == "legacy":
        return fault_name(value)
    if "." in name:
        return f"{setting_name(name)} {value:g}" if isinstance(value, float) else f"{setting_name(name)} {value}"
    if name == "kind":
        value = _SHAPES.get(value, value.replace("_", " "))
    return _WRITTEN.get(name, f"{name} {{}}").format(value)


def setting_name(column: str) -> str:
    """A setting for people: ``"train.learning_rate"`` is ``"learning rate"``; seeds keep their section."""
    section, _, name = column.rpartition(".")
    return f"{section} seed" if name == "seed" and section else name.replace("_", " ")


def several(name: str) -> str:
    """The plural of the name of a setting."""
    if name.endswith("us"):
        return f"{name}es"
    return name if name.endswith("samples") else f"{name}s"


def fault_name(legacy: str) -> str:
    """A value of the column ``legacy`` in words."""
    return legacy.replace("_", " ").replace("+", " + ") if legacy else "right values"
