"""What ``capture`` finds out about the operations of a model, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MOST_PLACES = 4  # of one kind that an error names


@dataclass(frozen=True)
class Treated:
    """An operation that can be traced exactly.

    Attributes:
        operation: As ATen names it, such as ``aten.relu.default``.
        treatment: ``affine``, ``bends: 2 pieces``, ``bends: envelope of 9``, ...
        units: How many units bend there; 0 for an affine operation.
    """

    operation: str
    treatment: str
    units: int


@dataclass(frozen=True)
class Problem:
    """An operation that cannot be traced exactly.

    Attributes:
        operation: As ATen names it, such as ``aten.gelu.default``.
        module: Path and class of its module, such as ``features.0.2 (Hardswish)``; may be empty.
        source: File, line and text of the user's source; may be empty.
        reason: Why not.
        remedy: What can be done.
    """

    operation: str
    module: str
    source: str
    reason: str
    remedy: str

    @property
    def kind(self) -> tuple[str, str, str]:
        """What problems of one kind have in common: all but the place."""
        return self.operation, self.reason, self.remedy


def by_kind(problems: Iterable[Problem]) -> list[list[Problem]]:
    """Problems of one kind together, in the order of the first of each."""
    found: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        found.setdefault(problem.kind, []).append(problem)
    return list(found.values())


def listed(problems: Iterable[Problem]) -> str:
    """One entry for each kind of problem, with the number of its places and a few of them."""
    return "\n".join(map(_entry, by_kind(problems)))


def _entry(alike: list[Problem]) -> str:
    operation, reason, remedy = alike[0].kind
    times = f", {len(alike)} times," if len(alike) > 1 else ""
    modules = _some([problem.module for problem in alike if problem.module], "modules")
    where = " in " * bool(modules) + ", ".join(modules)
    sources = [
        f"      at {source}" for source in _some([problem.source for problem in alike if problem.source], "lines")
    ]
    return "\n".join([f"  - {operation}{times}{where}: {reason}.", *sources, f"      What to do: {remedy}."])


def _some(places: list[str], what: str) -> list[str]:
    """Different places: all of a few, else the first ones and the last."""
    places = list(dict.fromkeys(places))
    more = len(places) - _MOST_PLACES
    return [*places[: _MOST_PLACES - 1], f"... ({more} more {what})", places[-1]] if more > 0 else places
