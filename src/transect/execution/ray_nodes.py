"""What the nodes of a Ray cluster can run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transect.execution.jobs import Job


def load(ray: Any, jobs: Iterable[Job]) -> float:
    """Part of the cluster that jobs need, of the scarcer of processors and GPUs: they can run side by side up to 1."""
    jobs = list(jobs)
    totals: dict[str, float] = ray.cluster_resources()
    cpus, gpus = sum(job.cpus for job in jobs), sum(job.gpus for job in jobs)
    return max(_part(cpus, totals.get("CPU", 0.0)), _part(gpus, totals.get("GPU", 0.0)))


def fits(ray: Any, job: Job) -> bool:
    """Whether any node that lives has as many processors and GPUs, free or not, as a job asks for."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return any(of.get("CPU", 0.0) >= job.cpus and of.get("GPU", 0.0) >= job.gpus for of in resources)


def _part(needed: float, there: float) -> float:
    if needed == 0.0:
        return 0.0
    return needed / there if there else float("inf")
