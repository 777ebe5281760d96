"""A job for a worker process, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from transect.errors import InvalidInput, StudyError

_MOST_NAMED = 3  # of jobs that failed in the same way


@dataclass(frozen=True)
class Job:
    """A function call to be made in another process.

    Attributes:
        key: Its name, unique in a batch.
        function: Called as ``function(*args, report=report)`` with a :class:`~transect.execution.events.Report`;
            importable by its name (a module-level function), like everything in ``args`` that is a function.
        args: What it is called with; picklable.
        cpus: Processors it keeps busy; may be a fraction. On Ray it waits until a node has so many free, and torch may
            use as many threads (at least one). Local workers take one job each, whatever it asks for.
        gpus: GPUs it needs: a fraction of one, which it shares, or a whole number. On Ray a job that asks for none sees
            none. Local workers see every GPU of the machine.
        retries: How often it is done again when its worker process or node *dies* (not when it raises, which it would
            do again); None for what the executor does with every job.
        follow_ups: How many jobs will follow from it when it ends, as far as that is known: only so that totals are
            right from the beginning. See :func:`~transect.execution.batch.run_jobs`.

    Raises:
        InvalidInput: If the resources make no sense.
    """

    key: str
    function: Callable[..., Any]
    args: tuple[Any, ...] = field(default=())
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int | None = None
    follow_ups: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cpus) and self.cpus > 0):
            raise InvalidInput(f"job {self.key!r}: expected cpus above 0, got {self.cpus}")
        if not (0 <= self.gpus < 1 or (float(self.gpus).is_integer() and self.gpus > 0)):
            raise InvalidInput(f"job {self.key!r}: expected gpus of 0, a fraction or a whole number, got {self.gpus}")
        if self.follow_ups < 0 or (self.retries or 0) < 0:
            raise InvalidInput(
                f"job {self.key!r}: expected retries and follow_ups of at least 0, "
                f"got {self.retries} and {self.follow_ups}"
            )


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        key: Key of the job.
        result: What its function returned; None if it failed.
        error: One line that says why it failed; None if it did not.
        details: The traceback of the error in the worker, or what Ray says of a death, where there is one.
        died: Whether it failed because its worker process or node died, and might succeed on another.
    """

    key: str
    result: Any = None
    error: str | None = None
    details: str = ""
    died: bool = False


def raise_failures(outcomes: Iterable[Outcome], remedy: str = "") -> None:
    """Raise one error that lists every failed job; those that failed in the same way in one line.

    Args:
        outcomes: What came of the jobs of a batch.
        remedy: What to do about it, appended to the message.

    Raises:
        StudyError: If any outcome is a failure.
    """
    outcomes = list(outcomes)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        keys: dict[str, list[str]] = {}
        for outcome in failed:
            keys.setdefault(str(outcome.error), []).append(outcome.key)
        lines = [f"  {_named(several)}: {error}" for error, several in keys.items()]
        raise StudyError("\n".join([f"{len(failed)} of {len(outcomes)} runs failed:", *lines, *filter(None, [remedy])]))


def _named(keys: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(keys) - _MOST_NAMED
    return "; ".join(keys[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
