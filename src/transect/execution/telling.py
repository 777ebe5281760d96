"""Counts the jobs of a batch and tells a callback what happens to them."""

from __future__ import annotations

from collections.abc import Sequence

from transect.execution.events import JobEvent, Kind, ProgressCallback
from transect.execution.jobs import Job, Outcome
from transect.execution.worker import BEGUN, Step


class Teller:
    """Turns what is heard of jobs into events.

    Args:
        progress: Hears of them; None for nobody.
    """

    def __init__(self, progress: ProgressCallback | None) -> None:
        self._progress = progress
        self._total = self._done = 0
        self._started: set[str] = set()

    def expect(self, jobs: Sequence[Job], kept: Sequence[str] = ()) -> None:
        """Count jobs that are to be done, with those announced to follow, and some that are done already."""
        self._total += sum(1 + job.follow_ups for job in jobs) + len(kept)
        for key in kept:
            self._end(key, "kept")

    def heard(self, key: str, step: Step) -> None:
        """A job has begun, or advanced."""
        if key not in self._started:
            self._started.add(key)
            self._tell(key, "started")
        if step != BEGUN:
            self._tell(key, "advanced", step)

    def ended(self, job: Job, outcome: Outcome, following: Sequence[Job]) -> None:
        """A job has ended; these follow from it, in place of those that were announced."""
        self._total -= job.follow_ups
        self.expect(following)
        if outcome.error is None:
            self._end(job.key, "finished", outcome.result if isinstance(outcome.result, str) else "")
        else:
            self._end(job.key, "failed", outcome.error)

    def _end(self, key: str, kind: Kind, message: str = "") -> None:
        self._done += 1
        self._tell(key, kind, Step("", 0, 0, message))

    def _tell(self, key: str, kind: Kind, step: Step = BEGUN) -> None:
        if self._progress is not None:
            event = JobEvent(key, kind, self._done, self._total, step.stage, step.step, step.steps, step.message)
            self._progress(event)
