"""What it means for a job that Ray has no result of it."""

from __future__ import annotations

from typing import Any

from transect.errors import StudyError
from transect.execution.jobs import Outcome

_DEATHS = {
    "OutOfMemoryError": "its worker process was ended by Ray: the memory of the node was nearly full",
    "NodeDiedError": "its node died",
    "WorkerCrashedError": "its worker process or node died",
    "ObjectLostError": "its node died before its result had arrived",
}


def outcome_of(ray: Any, key: str, error: Exception) -> Outcome:
    """The outcome of a job for which Ray raised an error; what the job itself raises never comes here.

    Args:
        ray: The module.
        key: Key of the job.
        error: What ``ray.get`` raised.

    Raises:
        StudyError: If there is no cluster any more.
    """
    if isinstance(error, ray.exceptions.LocalRayletDiedError):
        raise cluster_is_gone() from error
    for name, words in _DEATHS.items():
        if isinstance(error, getattr(ray.exceptions, name)):
            return Outcome(key, error=words, details=str(error), died=True)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    hint = "; transect must be importable on every node" if "ModuleNotFoundError" in str(error) else ""
    return Outcome(key, error=f"Ray cannot run it: {lines[-1].strip()}{hint}", details=str(error))


def cluster_is_gone() -> StudyError:
    """What to raise when nothing can be heard from the cluster any more."""
    return StudyError(
        "the Ray cluster does not answer any more: the node to which this process is connected died. What finished "
        "jobs have written is kept; call again when a cluster runs"
    )
