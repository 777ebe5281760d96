"""What happens to the jobs of a study, told as what happens to its networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transect.execution import JobEvent, ProgressCallback
from transect.execution.events import Kind


class RunProgress:
    """Hears of trainings and blocks of paths; tells of runs: one is finished when all its jobs are.

    Args:
        progress: Who is told.
        jobs: Of each run, the keys of its jobs.
        kept: The runs for which nothing is left to do.
    """

    def __init__(self, progress: ProgressCallback, jobs: Mapping[str, Sequence[str]], kept: Sequence[str]) -> None:
        self._progress, self._total = progress, len(jobs)
        self._run_of = {job: run for run, keys in jobs.items() for job in keys}
        self._left = {run: set(keys) for run, keys in jobs.items()}
        self._blocks = {run: sum(key != run for key in keys) for run, keys in jobs.items()}
        self._said: dict[str, str] = {}
        self._started: set[str] = set()
        self._failed: set[str] = set()
        self._done = 0
        for run in kept:
            self._end(run, "kept", "")

    def __call__(self, event: JobEvent) -> None:
        """Take note of what happened to a job."""
        run = self._run_of[event.job]
        if run in self._failed:
            return
        if event.kind == "started":
            self._start(run)
        elif event.kind == "advanced" and (event.job == run or event.message):  # a block's steps are not worth a line
            self._tell(run, "advanced", event.stage, event.step, event.steps, event.message)
        elif event.kind == "failed":
            self._failed.add(run)
            self._end(run, "failed", event.message)
        elif event.kind == "finished":
            self._finish(run, event)

    def _start(self, run: str) -> None:
        if run not in self._started:
            self._started.add(run)
            self._tell(run, "started")

    def _finish(self, run: str, event: JobEvent) -> None:
        self._left[run].discard(event.job)
        if event.message:
            self._said[run] = event.message
        if not self._left[run]:
            self._end(run, "finished", self._said.get(run, "measured"))
        else:
            blocks = self._blocks[run]
            self._tell(run, "advanced", "measuring", blocks - len(self._left[run]), blocks)

    def _end(self, run: str, kind: Kind, message: str) -> None:
        self._done += 1
        self._tell(run, kind, message=message)

    def _tell(self, run: str, kind: Kind, stage: str = "", step: int = 0, steps: int = 0, message: str = "") -> None:
        self._progress(JobEvent(run, kind, self._done, self._total, stage, step, steps, message))
