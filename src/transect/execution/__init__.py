"""Run many jobs: on local worker processes, or on an existing Ray cluster."""

from transect.execution.batch import Following, run_jobs
from transect.execution.events import JobEvent, ProgressCallback, Report
from transect.execution.executor import Executor
from transect.execution.jobs import Job, Outcome, raise_failures
from transect.execution.local import LocalExecutor
from transect.execution.ray_executor import RayExecutor

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
