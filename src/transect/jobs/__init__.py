"""Run many jobs: on local worker processes, or on an existing Ray cluster."""

from transect.jobs.executor import Executor
from transect.jobs.job import Job, JobEvent, Outcome, ProgressCallback, ReportProgress, raise_failures
from transect.jobs.local import LocalExecutor
from transect.jobs.ray_executor import RayExecutor
from transect.jobs.scheduler import FollowUps, run_jobs

__all__ = [
    "Executor",
    "FollowUps",
    "Job",
    "JobEvent",
    "LocalExecutor",
    "Outcome",
    "ProgressCallback",
    "RayExecutor",
    "ReportProgress",
    "raise_failures",
    "run_jobs",
]
