"""Run many jobs with an executor: in order, with those that follow from others, and again where a worker died."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext

from transect.errors import StudyError
from transect.jobs.executor import Executor
from transect.jobs.job import Job, JobEvent, Kind, Outcome, ProgressCallback
from transect.jobs.local import LocalExecutor
from transect.jobs.worker import BEGUN, JobStep


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

    def heard(self, key: str, step: JobStep) -> None:
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
        self._tell(key, kind, JobStep("", 0, 0, message))

    def _tell(self, key: str, kind: Kind, step: JobStep = BEGUN) -> None:
        if self._progress is not None:
            event = JobEvent(key, kind, self._done, self._total, step.stage, step.step, step.steps, step.message)
            self._progress(event)


FollowUps = Callable[[Outcome], Sequence[Job]]
"""Called in the parent process with the outcome of each job; gives the jobs that can be done now."""


def run_jobs(
    jobs: Iterable[Job],
    workers: int | Executor = 2,
    progress: ProgressCallback | None = None,
    kept: Sequence[str] = (),
    threads: int = 1,
    following: FollowUps | None = None,
) -> Generator[Outcome]:
    """Run jobs, several at a time; give what came of each as it ends.

    A job that raises, or whose worker dies once too often, is one failed :class:`~transect.jobs.job.Outcome`; the
    others go on. When the iterator is closed, or Ctrl-C is pressed, the jobs in hand are ended at once.

    Jobs are begun in the order given. Those that follow from one that has ended come before all that an executor has
    not been given yet, so that a trained network is measured soon, and so does a job that is done again. How many will
    follow can be announced with :attr:`Job.follow_ups <transect.jobs.job.Job>`; when the job ends, the
    announcement is replaced in the totals by what has truly followed (nothing, usually, from a failed one).

    Args:
        jobs: What to do, in the order in which to begin. Of an iterator, which may make jobs as they are needed, no
            more than one is taken before there is a worker for it; totals count what was taken so far.
        workers: Number of processes at a time on this machine, or an executor: a
            :class:`~transect.jobs.local.LocalExecutor` or :class:`~transect.jobs.ray_executor.RayExecutor`
            with no other job in hand. It is not closed.
        progress: Hears of everything that happens to a job.
        kept: Keys of jobs that need not be done again; only reported, so that the totals are those of the whole batch.
        threads: Threads that torch may use in each worker, where ``workers`` is a number.
        following: Hands out more jobs when one has ended, also when it has failed.

    Yields:
        One outcome for each job, in the order in which they end.

    Raises:
        StudyError: If fewer than one worker is asked for, two jobs have one key, or the cluster is gone.
    """
    owned = isinstance(workers, int)
    executor = LocalExecutor(workers, threads) if isinstance(workers, int) else workers
    with closing(executor) if owned else nullcontext():
        batch = _Batch(executor, Teller(progress), following, jobs if isinstance(jobs, Iterator) else iter(()))
        batch.add([] if isinstance(jobs, Iterator) else list(jobs), kept)
        try:
            yield from batch.run()
        finally:
            if executor.is_busy():
                executor.dismiss()


class _Batch:
    """Which jobs wait, and how often each has been tried."""

    def __init__(
        self, executor: Executor, teller: Teller, following: FollowUps | None, upcoming: Iterator[Job]
    ) -> None:
        self._executor, self._teller, self._following, self._upcoming = executor, teller, following, upcoming
        self._waiting: deque[Job] = deque()
        self._keys: set[str] = set()
        self._deaths: Counter[str] = Counter()

    def add(self, jobs: Sequence[Job], kept: Sequence[str]) -> None:
        self._claim_keys(jobs)
        self._waiting.extend(jobs)
        self._teller.expect(jobs, kept)

    def run(self) -> Iterator[Outcome]:
        while self._is_waiting() or self._executor.is_busy():
            while self._is_waiting() and self._executor.has_room():
                self._executor.give(self._waiting.popleft())
            if self._executor.is_busy():
                # what is finished comes before a failure that may end the batch
                for job, said in sorted(self._executor.hear(), key=lambda one: _is_failure(one[1])):
                    yield from self._note(job, said)

    def _is_waiting(self) -> bool:
        """Whether a job waits; the next one is made while the workers work."""
        if not self._waiting and (job := next(self._upcoming, None)) is not None:
            self.add([job], ())
        return bool(self._waiting)

    def _note(self, job: Job, said: JobStep | Outcome) -> Iterator[Outcome]:
        if isinstance(said, JobStep):
            self._teller.heard(job.key, said)
        elif not (said.died and self._try_again(job, said)):
            self._end(job, said)
            yield said

    def _try_again(self, job: Job, lost: Outcome) -> bool:
        retries = self._executor.retries if job.retries is None else job.retries
        self._deaths[job.key] += 1
        if self._deaths[job.key] > retries:
            return False
        attempt = f"attempt {self._deaths[job.key] + 1} of {retries + 1}"
        self._teller.heard(job.key, JobStep(attempt, 0, 0, lost.error or ""))
        self._waiting.appendleft(job)
        return True

    def _end(self, job: Job, outcome: Outcome) -> None:
        more = self._following(outcome) if self._following else ()
        self._claim_keys(more)
        self._waiting.extendleft(reversed(more))
        self._teller.ended(job, outcome, more)

    def _claim_keys(self, jobs: Sequence[Job]) -> None:
        counts = Counter(job.key for job in jobs)
        repeated = sorted(key for key, count in counts.items() if count > 1 or key in self._keys)
        if repeated:
            raise StudyError(f"expected a key of its own for each job, got these more than once: {repeated}")
        self._keys.update(counts)


def _is_failure(said: JobStep | Outcome) -> bool:
    return isinstance(said, Outcome) and said.error is not None
