"""Run many jobs: on local worker processes, or on an existing Ray cluster."""

from transect.jobs.executor import Executor
from transect.jobs.job import Job, JobEvent, Outcome, ProgressCallback, Report, raise_failures
from transect.jobs.local import LocalExecutor
from transect.jobs.ray_executor import RayExecutor
from transect.jobs.scheduler import Following, run_jobs

__all__ = [
    "Executor",
    "Following",
    "Job",
    "JobEvent",
    "LocalExecutor",
    "Outcome",
    "ProgressCallback",
    "RayExecutor",
    "Report",
    "raise_failures",
    "run_jobs",
]
