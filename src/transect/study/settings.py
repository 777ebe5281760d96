"""The base of every section of a configuration: frozen, and a misspelt key is answered with the right one."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from transect.errors import StudyError, did_you_mean
from transect.texts import is_controlling

_SHOWN = 200


def plain_text(given: str) -> str:
    """A text, if a terminal, a file's name and a table show it as it is.

    Raises:
        ValueError: If there is a control character in it.
    """
    if odd := [letter for letter in given if is_controlling(letter)]:
        raise ValueError(f"expected text without control characters, got {odd[0]!r} in {given[:_SHOWN]!r}")
    return given


Text = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(plain_text)]


def refuse_odd_texts(given: Any) -> None:
    """Make sure that nested values have no control characters, and no numbers that JSON cannot write.

    Raises:
        ValueError: If they have.
    """
    if isinstance(given, str):
        plain_text(given)
    elif isinstance(given, float) and not math.isfinite(given):
        raise ValueError(f"expected finite numbers, got {given}")
    elif isinstance(given, dict):
        for key, value in given.items():
            refuse_odd_texts(str(key))
            refuse_odd_texts(value)
    elif isinstance(given, list | tuple):
        for value in given:
            refuse_odd_texts(value)


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
    return f"unknown key {key!r}" + (did_you_mean(key, valid, most=1) or f": valid keys are {', '.join(valid)}")


def _place(location: tuple[int | str, ...]) -> str:
    """The keys on the way; not which variant of a section, since a person wrote lists."""
    names = [part for part in location if isinstance(part, str)]
    return ".".join(names) + ": " if names else ""


def _reason(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    given = repr(problem["input"])
    nearest = did_you_mean(problem["input"], re.findall(r"'([^']*)'", message), most=1) if _is_choice(problem) else ""
    return f"{message}, got {given if len(given) <= _SHOWN else given[:_SHOWN] + '...'}{nearest}"


def _is_choice(problem: Any) -> bool:
    return problem["type"] == "literal_error" and isinstance(problem["input"], str)
