"""Run many jobs: on local worker processes."""

from transect.execution.events import JobEvent, ProgressCallback, Report
from transect.execution.jobs import Job, Outcome, raise_failures
from transect.execution.local import run_jobs

__all__ = ["Job", "JobEvent", "Outcome", "ProgressCallback", "Report", "raise_failures", "run_jobs"]
