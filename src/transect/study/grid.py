"""Sections in which a value may be a list: the grid of all combinations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

LARGEST_GRID = 100_000


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
        found: list[Any] = []
        for part in given:
            found += variants(part, lists) if isinstance(part, Mapping) else [part]
            _refuse_too_many(len(found), "variants of a section")
        return found
    return [given] if hasattr(given, "model_dump") else given


def asked_in(given: Mapping[str, Any]) -> list[str]:
    """Full names such as ``"train.seed"`` of the settings that a study gives in every variant of their section.

    Args:
        given: Sections as :func:`variants` takes them, and under ``ways`` mappings from section to those.
    """
    found: dict[str, list[set[str]]] = {}
    parts = [given, *(way for way in given.get("ways") or () if isinstance(way, Mapping))]
    for section, value in ((name, value) for part in parts for name, value in part.items()):
        for one in value if isinstance(value, list | tuple) else [value]:
            keys = one if isinstance(one, Mapping) else getattr(one, "model_fields_set", None)
            if keys is not None:
                found.setdefault(section, []).append(set(keys))
    return sorted(f"{section}.{key}" for section, several in found.items() for key in set.intersection(*several))


def combinations(names: Iterable[str], choices: Sequence[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the choices for some names; the last one varies fastest.

    Raises:
        ValueError: If there are too many.
    """
    _refuse_too_many(math.prod(map(len, choices)), "variants of a section")
    return (dict(zip(names, values, strict=True)) for values in itertools.product(*choices))


def _refuse_too_many(number: int, what: str) -> None:
    if number > LARGEST_GRID:
        raise ValueError(f"expected at most {LARGEST_GRID} {what}, got {number} or more")


def _twice(values: Iterable[Any]) -> list[Any]:
    """Values that are there again; of mappings nothing is said, which may be equal but for what they leave out."""
    seen: set[Any] = set()
    found = []
    for value in values:
        plain = isinstance(value, bool | int | float | str)  # 1 is 1.0, but neither True nor a text
        key = (isinstance(value, bool), isinstance(value, str), value if plain else repr(value))
        found += [value] if key in seen and not isinstance(value, Mapping) else []
        seen.add(key)
    return found


def _combinations(section: Mapping[str, Any], lists: Collection[str]) -> list[dict[str, Any]]:
    choices = [_choices(key, value, key in lists) for key, value in section.items()]
    return list(combinations(section, choices))


def _choices(key: str, value: Any, is_list: bool) -> list[Any]:
    if not isinstance(value, list | tuple):
        return [value]
    several = not is_list or (bool(value) and all(isinstance(part, list | tuple | Mapping) for part in value))
    if several and not value:
        raise ValueError(f"{key}: expected at least one value in the list, got none")
    if several and (twice := _twice(value)):
        raise ValueError(f"{key}: expected every value of a list once, got {twice[0]!r} twice")
    return list(value) if several else [value]
