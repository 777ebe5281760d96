"""Values of identifying columns in words, for titles and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    """Values of identifying columns in words, such as ``"20 % label noise, closed paths around random"``."""
    return ", ".join(_word(name, value) for name, value in values.items())


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
    if name == "kind":
        value = _SHAPES.get(value, value.replace("_", " "))
    return _WRITTEN.get(name, f"{name} {{}}").format(value)


def fault_name(legacy: str) -> str:
    """A value of the column ``legacy`` in words."""
    return legacy.replace("_", " ").replace("+", " + ") if legacy else "right values"
