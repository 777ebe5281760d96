"""An executor that does its jobs in this process: no seconds for a new one to import torch."""

from __future__ import annotations

from transect.jobs.executor import Executor
from transect.jobs.job import Job, Outcome
from transect.jobs.worker import BEGUN, JobStep, Reporter, do


class Inline(Executor):
    """One job at a time, when it is asked what there is to hear."""

    retries = 0

    def __init__(self) -> None:
        self._job: Job | None = None

    def has_room(self) -> bool:
        return self._job is None

    def is_busy(self) -> bool:
        return self._job is not None

    def give(self, job: Job) -> None:
        self._job = job

    def hear(self) -> list[tuple[Job, JobStep | Outcome]]:
        job, said = self._job, [BEGUN]
        assert job is not None
        outcome = do(job, Reporter(said.append))
        self._job = None
        return [(job, one) for one in (*said, outcome)]

    def dismiss(self) -> None:
        self._job = None

    def close(self) -> None:
        self.dismiss()
