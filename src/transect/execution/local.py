"""Run many jobs on worker processes of this machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

from transect.errors import StudyError
from transect.execution.crew import Crew
from transect.execution.events import JobEvent, Kind, ProgressCallback
from transect.execution.jobs import Job, Outcome
from transect.execution.worker import Step


def run_jobs(
    jobs: Sequence[Job],
    workers: int = 2,
    progress: ProgressCallback | None = None,
    kept: Sequence[str] = (),
    threads: int = 1,
) -> Generator[Outcome]:
    """Run jobs on local worker processes, several at a time; give what came of each as it ends.

    A job that raises, or whose worker dies, is one failed :class:`Outcome`; the others go on. When the iterator is
    closed, or Ctrl-C is pressed, the workers are ended at once. When the parent process is killed, they notice and
    leave.

    Workers are spawned: a script that calls this must do so under ``if __name__ == "__main__":``.

    Args:
        jobs: What to do, in the order in which to begin.
        workers: Processes at a time.
        progress: Hears of everything that happens to a job.
        kept: Keys of jobs that need not be done again; only reported, so that the totals are those of the whole batch.
        threads: Threads that torch may use in each worker.

    Yields:
        One outcome for each of ``jobs``, in the order in which they end.

    Raises:
        StudyError: If fewer than one worker is asked for, or two jobs have one key.
    """
    _check(jobs, workers)
    teller = _Teller(progress, len(jobs) + len(kept))
    for key in kept:
        teller.ended(key, "kept")
    with _crew(min(workers, len(jobs)), threads) as crew:
        yield from _run(deque(jobs), crew, teller)


def _run(waiting: deque[Job], crew: Crew, teller: _Teller) -> Iterator[Outcome]:
    while waiting or crew.is_busy():
        while waiting and crew.has_room():
            job = waiting.popleft()
            crew.give(job)
            teller.started(job.key)
        for job, said in crew.hear():
            if isinstance(said, Step):
                teller.advanced(job.key, said)
            else:
                teller.outcome(said)
                yield said


class _Teller:
    """Counts the jobs that have ended and tells the callback."""

    def __init__(self, progress: ProgressCallback | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def started(self, key: str) -> None:
        self._tell(key, "started")

    def advanced(self, key: str, step: Step) -> None:
        self._tell(key, "advanced", stage=step.stage, step=step.step, steps=step.steps)

    def outcome(self, outcome: Outcome) -> None:
        if outcome.error is None:
            self.ended(outcome.key, "finished", outcome.result if isinstance(outcome.result, str) else "")
        else:
            self.ended(outcome.key, "failed", outcome.error)

    def ended(self, key: str, kind: Kind, message: str = "") -> None:
        self._done += 1
        self._tell(key, kind, message=message)

    def _tell(self, key: str, kind: Kind, stage: str = "", step: int = 0, steps: int = 0, message: str = "") -> None:
        if self._progress is not None:
            self._progress(JobEvent(key, kind, self._done, self._total, stage, step, steps, message))


@contextmanager
def _crew(size: int, threads: int) -> Iterator[Crew]:
    crew = Crew(size, threads)
    try:
        yield crew
    finally:
        crew.dismiss()


def _check(jobs: Sequence[Job], workers: int) -> None:
    if workers < 1:
        raise StudyError(f"expected at least one worker, got workers={workers}")
    keys = [job.key for job in jobs]
    repeated = sorted({key for key in keys if keys.count(key) > 1})
    if repeated:
        raise StudyError(f"expected a key of its own for each job, got these more than once: {repeated}")
