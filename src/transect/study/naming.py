"""Names for what differs between the variants of a study: in labels for people, in columns of tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from transect.study.sections import DataConfig, MeasureConfig, ModelConfig, PathConfig, Settings, TrainConfig

SECTIONS: dict[str, type[Settings]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "paths": PathConfig,
    "measures": MeasureConfig,
}
ABSENT = object()
"""Stands for an argument of a model that another variant has."""

_SHORT = {"data.name": "data", "model.name": "model", "train.seed": "seed"}
_ARGUMENTS = "model.arguments."
_OCCURRENCES = Counter(key for section in SECTIONS.values() for key in section.model_fields)
_PLAIN = re.compile(r"[\w./:~+\\-]+")


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their full name: ``"train.seed"``, and each argument of a model as ``"model.arguments.depth"``.

    Args:
        settings: Mapping from section to mapping from key to value; other entries are passed over.
    """
    found = {
        f"{part}.{key}": value
        for part, values in settings.items()
        if part in SECTIONS
        for key, value in values.items()
        if f"{part}.{key}." != _ARGUMENTS
    }
    arguments = settings.get("model", {}).get("arguments", {})
    return found | {f"{_ARGUMENTS}{key}": value for key, value in arguments.items()}


def differing(settings: Sequence[Mapping[str, Any]], but: Collection[str] = ()) -> list[dict[str, Any]]:
    """Of several settings with sections, each one's values where they are not all the same.

    Args:
        settings: Mappings from section to mapping from key to value.
        but: Full names that are passed over.

    Returns:
        Of each, full name to value; :data:`ABSENT` for an argument that it does not have.
    """
    all_flat = [flat(one) for one in settings]
    keys = dict.fromkeys(key for one in all_flat for key in one)
    told = {key: [_text(one.get(key, ABSENT)) for one in all_flat] for key in keys if key not in but}
    kept = [key for key, texts in told.items() if len(set(texts)) > 1]
    return [{key: one.get(key, ABSENT) for key in kept} for one in all_flat]


def said(values: Mapping[str, Any]) -> str:
    """Values by full name in words, ``"data.seed 0, seed 1"``: other values of the same settings give another text."""
    return ", ".join(f"{short_name(key)} {_text(value)}" for key, value in values.items())


def as_cells(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a table holds them: what is no number, truth value or text is JSON, and what is not given is None."""
    return {
        key: None if value is ABSENT else json.dumps(value) if isinstance(value, list | dict) else value
        for key, value in values.items()
    }


def short_name(key: str) -> str:
    """A setting as people call it: without its section, where no other section has a setting of that name."""
    if key.startswith(_ARGUMENTS):
        name = key.removeprefix(_ARGUMENTS)
        return name if name.isidentifier() and name not in {*_OCCURRENCES, *SECTIONS} else f"arguments.{_text(name)}"
    name = key.partition(".")[2]
    return _SHORT.get(key, name if _OCCURRENCES[name] == 1 else key)


def _text(value: Any) -> str:
    """A value so that no two look the same, whatever stands around them in a label."""
    if value is ABSENT:
        return "not given"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in ("None", "True", "False"):
        return value
    return str(value) if value is None or isinstance(value, bool | int | float) else json.dumps(value, sort_keys=True)
