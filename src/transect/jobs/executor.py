"""What runs jobs elsewhere: the one interface to local processes and to a Ray cluster."""

from __future__ import annotations

from typing import Protocol, Self

from transect.jobs.job import Job, Outcome
from transect.jobs.worker import JobStep


class Executor(Protocol):
    """Takes jobs, does some of them at a time, and says what becomes of them.

    Whoever uses one gives it jobs while it has room and hears from it while it is busy, as
    :func:`~transect.jobs.scheduler.run_jobs` does. It is a context manager that closes it::

        with LocalExecutor(workers=2) as executor:
            outcomes = list(run_jobs(jobs, executor))

    Attributes:
        retries: How often a job is to be given again when its worker process or node died, where the job does not say.
    """

    retries: int

    def has_room(self) -> bool:
        """Whether another job could be begun now, or soon."""

    def is_busy(self) -> bool:
        """Whether any job is in hand."""

    def give(self, job: Job) -> None:
        """Take a job in hand. Its key must not be that of another in hand."""

    def hear(self) -> list[tuple[Job, JobStep | Outcome]]:
        """Wait until there is something to say about the jobs in hand.

        Returns:
            What is said, with the job it is about: first :data:`~transect.jobs.worker.BEGUN` when a worker takes
            it, any number of steps, and one outcome, with which it is no longer in hand. May be empty.
        """

    def dismiss(self) -> None:
        """End every job in hand at once; nothing more is heard of them. Others may be given afterwards."""

    def close(self) -> None:
        """Dismiss, and release what the executor holds: processes, the connection to a cluster."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
