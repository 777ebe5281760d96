"""Every exception and warning a user can meet; each message says what was expected, what was given, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from transect.support.text import visible


class TransectError(Exception):
    """Base of every error raised on purpose by Transect.

    Args:
        message: What was expected, what was given, what to do; names in it may be those of strangers' files, so that
            characters a terminal obeys are spelt out.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(visible(str(message)))


class InvalidInput(TransectError, ValueError):
    """An argument is not what the function can work with (shape, dtype, NaN, a zero-length segment, ...)."""


class OutOfMemory(TransectError, MemoryError):
    """There was not enough memory; that says nothing of the model."""


def refuse_for_memory(error: BaseException) -> None:
    """Say so where memory is what was lacking.

    Raises:
        OutOfMemory: It was.
    """
    if isinstance(error, TransectError):
        return
    words = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
    if isinstance(error, MemoryError) or any(word in str(error).lower() for word in words):
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise OutOfMemory(
            f"there is not enough memory for this model and input ({said[:200]}); use a smaller input or another "
            "device, or free memory first."
        ) from error


class UnsupportedModel(TransectError):
    """The model is not piecewise affine, mixes rows, or uses an operation without a rule; lists every such node.

    Attributes:
        problems: The same list as values; empty where the model was refused as a whole, for what the message says.
        treated: The operations that could be traced.
    """

    def __init__(self, message: str, problems: tuple[Problem, ...] = (), treated: tuple[Treated, ...] = ()) -> None:
        super().__init__(message)
        self.problems, self.treated = problems, treated


class VerificationError(TransectError):
    """A trace and the module disagree beyond the tolerance: the numbers must not be used."""


class DidNotEnd(TransectError, RuntimeError):
    """A loop went on beyond the count by which it is proved to end: a fault of Transect's, which says so."""


def at_most(count: int, what: str) -> Iterator[int]:
    """0, 1, ... for a loop that ends by itself, by that count at the latest.

    Raises:
        DidNotEnd: It has not.
    """
    yield from range(count)
    raise DidNotEnd(
        f"{what}: expected an end after at most {count:,} rounds, and there is none. This is a fault of Transect: "
        "please report it with the model and the path. Shorter segments, or another dtype, may go round it."
    )


class TraceTooLarge(TransectError, MemoryError):
    """What ``keep="all"`` would hold exceeds the stated size; raised before it is allocated."""


class RegionTooLarge(TransectError, MemoryError):
    """The Jacobian or the inequalities of a region exceed the stated size; raised before they are allocated."""


class NotEstimated(TransectError, AttributeError):
    """An estimate is asked for what samples do not show, such as crossings; an exact trace has it."""


class MissingDependency(TransectError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""


class MeasuringError(TransectError):
    """Measuring cannot go on, though its arguments are right: a worker process died, or a model raised an error.

    Attributes:
        lost: Whether a worker died: for want of memory, or because somebody ended it; the same call tries again.
    """

    def __init__(self, message: str, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class FolderInUse(TransectError):
    """Another process works in a folder of results; the message says which, where, and since when."""


class StudyError(TransectError):
    """A study cannot go on: a bad setting, data that is not there, results of another configuration."""


class TransectWarning(UserWarning):
    """Base of every warning issued by Transect; its message is spelt out like that of an error."""

    def __init__(self, message: str = "") -> None:
        super().__init__(visible(str(message)))


class UnresolvedWarning(TransectWarning):
    """Some crossings are closer than rounding can tell apart; ``trace.unresolved`` lists them."""


class ScaleWarning(TransectWarning):
    """Two models are compared by a measure that grows with their outputs, and these differ in scale."""


class RoundingWarning(TransectWarning):
    """A measure is not much larger than its own rounding bound."""


def did_you_mean(given: object, known: Iterable[object], most: int = 3) -> str:
    """A question in brackets that names what is nearly the same, whatever its case; empty where nothing is."""
    names = {str(name).lower(): str(name) for name in known}
    near = get_close_matches(str(given).lower(), list(names), n=most, cutoff=0.5)
    return f" (did you mean {' or '.join(names[name] for name in near)}?)" if near else ""


def check_name(argument: str, name: str) -> str:
    """A name, if a table can hold it.

    Raises:
        InvalidInput: It is that of a file in bytes that are no text.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{argument}: expected names that are text in UTF-8, got {name!r}; rename it.") from error
    return name


def check_one_of(argument: str, given: object, known: Iterable[object], otherwise: str = "") -> None:
    """Refuse a value that is none of those that are known.

    Args:
        argument: Its name.
        given: The value.
        known: Those that are known.
        otherwise: What else would have been right, such as ``", or its index"``.

    Raises:
        InvalidInput: Lists them, and names the one that is nearly the same.
    """
    values = tuple(known)
    if given not in values:
        listed = ", ".join(map(str, values)) or "none, since there is nothing to choose from"
        near = did_you_mean(given, values, most=1)
        raise InvalidInput(f"{argument}: expected one of {listed}{otherwise}, got {given!r}{near}.")


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
