"""The base of every section of a configuration: frozen, and a misspelt key is answered with the right one."""

from __future__ import annotations

import difflib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from transect.errors import StudyError


class Settings(BaseModel):
    """A section of a configuration. Building one with a wrong value raises pydantic's ``ValidationError``."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, given: Any) -> Any:
        unknown = [key for key in given if key not in cls.model_fields] if isinstance(given, dict) else []
        if unknown:
            raise ValueError("; ".join(_unknown_key(str(key), list(cls.model_fields)) for key in unknown))
        return given

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Self:
        """Build from plain values, such as those of a TOML or JSON file.

        Raises:
            StudyError: If a key is unknown (the message names the nearest valid one) or a value is wrong; lists all.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            lines = [f"  {_place(problem['loc'])}{_reason(problem)}" for problem in error.errors()]
            distinct = dict.fromkeys(lines)  # the variants of a section share their mistakes
            raise StudyError("\n".join(["the configuration is not valid:", *distinct])) from error


def canonical_json(settings: dict[str, Any]) -> str:
    """The same text for equal settings: keys sorted, no spaces."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines that say which entries of two nested dictionaries differ, ``"train.epochs: 3 there, 5 here"``."""
    lines: list[str] = []
    for key in sorted(set(ours) | set(theirs)):
        here, there = ours.get(key, "nothing"), theirs.get(key, "nothing")
        if isinstance(here, dict) and isinstance(there, dict):
            lines += differences(here, there, f"{prefix}{key}.")
        elif here != there:
            lines.append(f"{prefix}{key}: {there} there, {here} here")
    return lines


def _unknown_key(key: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"valid keys are {', '.join(valid)}"
    return f"unknown key {key!r}: {hint}"


def _place(location: tuple[int | str, ...]) -> str:
    """The keys on the way; not which variant of a section, since a person wrote lists."""
    names = [part for part in location if isinstance(part, str)]
    return ".".join(names) + ": " if names else ""


def _reason(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    return message if problem["type"] == "value_error" else f"{message}, got {problem['input']!r}"
