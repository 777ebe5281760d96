"""A job for a worker process, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from transect.errors import StudyError


@dataclass(frozen=True)
class Job:
    """A function call to be made in another process.

    Attributes:
        key: Its name, unique in a batch.
        function: Called as ``function(*args, report=report)`` with a :class:`~transect.execution.events.Report`;
            importable by its name (a module-level function), like everything in ``args`` that is a function.
        args: What it is called with; picklable.
    """

    key: str
    function: Callable[..., Any]
    args: tuple[Any, ...] = field(default=())


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        key: Key of the job.
        result: What its function returned; None if it failed.
        error: One line that says why it failed; None if it did not.
        details: The traceback of the error in the worker, where there is one.
    """

    key: str
    result: Any = None
    error: str | None = None
    details: str = ""


def raise_failures(outcomes: Iterable[Outcome], remedy: str = "") -> None:
    """Raise one error that lists every failed job.

    Args:
        outcomes: What came of the jobs of a batch.
        remedy: What to do about it, appended to the message.

    Raises:
        StudyError: If any outcome is a failure.
    """
    outcomes = list(outcomes)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        lines = [f"  {outcome.key}: {outcome.error}" for outcome in failed]
        raise StudyError("\n".join([f"{len(failed)} of {len(outcomes)} runs failed:", *lines, *filter(None, [remedy])]))
