"""Sections in which a value may be a list: the grid of all combinations."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any


def variants(given: Any, lists: Collection[str] = ()) -> Any:
    """Every combination of the values of a section.

    Args:
        given: A mapping in which a list or tuple stands for several values, or a list of such mappings (all their
            variants, one after the other). Anything else, also within the list, is kept as it is.
        lists: Keys whose value is a list, or holds some, itself: for several values of them take a list of lists (or a
            list of mappings).

    Returns:
        A list of mappings with one value each; the last key varies fastest. What is no section is returned as it is,
        for the validation to refuse.

    Raises:
        ValueError: If a list of values is empty.
    """
    if isinstance(given, Mapping):
        return _combinations(given, lists)
    if isinstance(given, list | tuple):
        return [one for part in given for one in (variants(part, lists) if isinstance(part, Mapping) else [part])]
    return [given] if hasattr(given, "model_dump") else given


def _combinations(section: Mapping[str, Any], lists: Collection[str]) -> list[dict[str, Any]]:
    choices = [_choices(key, value, key in lists) for key, value in section.items()]
    return [dict(zip(section, values, strict=True)) for values in itertools.product(*choices)]


def _choices(key: str, value: Any, is_list: bool) -> list[Any]:
    if not isinstance(value, list | tuple):
        return [value]
    several = not is_list or (bool(value) and all(isinstance(part, list | tuple | Mapping) for part in value))
    if several and not value:
        raise ValueError(f"{key}: expected at least one value in the list, got none")
    return list(value) if several else [value]
