"""What the parent of worker processes hears of their jobs, for whoever draws progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

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


class Report(Protocol):
    """Called by a job, in its worker process, to say how far it is. Calls in quick succession may be left out."""

    def __call__(self, stage: str, step: int, steps: int) -> None:
        """Say that ``step`` of ``steps`` steps of a stage are done."""
