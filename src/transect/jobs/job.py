"""Jobs, what becomes of them, what is heard of them, and the interface to what runs them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from transect.errors import InvalidInput, StudyError

Kind = Literal["kept", "started", "advanced", "finished", "failed"]


@dataclass(frozen=True)
class JobEvent:
    """One thing that happened to one job.

    Attributes:
        job: Key of the job, unique in its batch.
        kind: ``"kept"``: done already by an earlier call, nothing to do (always the first events of a batch).
            ``"started"``: a worker took it. ``"advanced"``: it reached ``step``, or is tried again (then ``stage`` is
            ``"attempt 2 of 3"`` and ``message`` says what its worker died of). ``"finished"``: its result has
            arrived. ``"failed"``: it raised, or its worker died. Each job ends with exactly one of kept, finished and
            failed, unless the batch is interrupted.
        jobs_done: Jobs of the batch that have ended so far, this one included if it has.
        jobs_total: Jobs of the batch, with those that are announced to follow from others.
        stage: What the job is doing, such as ``"training"``; empty where it did not say.
        step: Steps of the stage done (epochs, paths, ...), of ``steps``.
        steps: Steps of the stage in all; 0 where unknown.
        message: One line for people: the summary of a finished job, the error of a failed one or of a lost attempt.
    """

    job: str
    kind: Kind
    jobs_done: int
    jobs_total: int
    stage: str = ""
    step: int = 0
    steps: int = 0
    message: str = ""


class ProgressCallback(Protocol):
    """Called in the parent process, from the thread that runs the batch, once for each event and in their order.

    It should return soon (the batch waits for it). An exception it raises stops the batch and its workers.
    """

    def __call__(self, event: JobEvent) -> None:
        """Take note of one event."""


class ReportProgress(Protocol):
    """Called by a job, in its worker process, to say how far it is. Calls in quick succession may be left out."""

    def __call__(self, stage: str, step: int, steps: int) -> None:
        """Say that ``step`` of ``steps`` steps of a stage are done."""


_MOST_NAMED = 3  # of jobs that failed in the same way


@dataclass(frozen=True)
class Job:
    """A function call to be made in another process.

    Attributes:
        key: Its name, unique in a batch.
        function: Called as ``function(*args, report=report)`` with a :class:`~transect.jobs.job.ReportProgress`;
            importable by its name (a module-level function), like everything in ``args`` that is a function.
        args: What it is called with; picklable.
        cpus: Processors it keeps busy; may be a fraction. On Ray it waits until a node has so many free, and torch may
            use as many threads (at least one). Local workers take one job each, whatever it asks for.
        gpus: GPUs it needs: a fraction of one, which it shares, or a whole number. On Ray a job that asks for none sees
            none. Local workers see every GPU of the machine.
        retries: How often it is done again when its worker process or node *dies* (not when it raises, which it would
            do again); None for what the executor does with every job.
        follow_ups: How many jobs will follow from it when it ends, as far as that is known: only so that totals are
            right from the beginning. See :func:`~transect.jobs.scheduler.run_jobs`.

    Raises:
        InvalidInput: If the resources make no sense.
    """

    key: str
    function: Callable[..., object]
    args: tuple[object, ...] = field(default=())
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
