"""A Ray cluster that runs: the connection to it, and what its nodes can run."""

from __future__ import annotations

import importlib
import logging
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from transect.errors import MissingDependency, StudyError
from transect.jobs.job import Job

_HOW_TO_START = (
    "Start one with `ray start --head` (and `ray start --address=<head>:6379` on the other machines), give the address "
    'of one that runs ("host:6379", or "ray://host:10001" from a machine that is no part of it), or leave Ray out: '
    "local workers use all cores of this machine"
)
_SECONDS_TO_ANSWER = 10.0


@contextmanager
def connected(address: str | None, runtime_env: Mapping[str, object] | None) -> Iterator[Any]:
    """A connection of this process to a cluster, for a block.

    Args:
        address: See :class:`~transect.jobs.ray_executor.RayExecutor`.
        runtime_env: Given to ``ray.init``.

    Yields:
        The module ``ray``.

    Raises:
        MissingDependency: Ray is not installed.
        StudyError: No cluster answers there, or this process is connected to one already and an address is given.
    """
    if address == "local":
        raise StudyError(
            "address: expected that of a cluster that runs, got 'local'; for this machine alone use local workers, "
            f"which need no Ray (executor local, LocalExecutor). {_HOW_TO_START}."
        )
    ray = _load()
    if ray.is_initialized():
        if address is not None:
            raise StudyError(
                f"this process is connected to a Ray cluster already, expected no address, got {address!r}: leave it "
                "out to use that cluster, or call ray.shutdown() first"
            )
        yield ray  # somebody else's connection: it stays
        return
    options = dict(log_to_driver=False, logging_level=logging.ERROR, runtime_env=dict(runtime_env or {}) or None)
    with _existing(ray, address, options):
        yield ray


@contextmanager
def _existing(ray: Any, address: str | None, options: dict[str, Any]) -> Iterator[None]:
    address = address or "auto"
    try:
        _refuse_silence(address)
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        sought = "of Ray on this machine" if address == "auto" else f"at {address!r}"
        raise StudyError(f"cannot connect to a cluster {sought} ({_first_line(error)}). {_HOW_TO_START}.") from error
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_silence(address: str) -> None:
    """Ray tries for a long time, and then says little, where a moment shows that nobody listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _load() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingDependency(
            f"Ray cannot be imported ({error}): install it with pip install 'transect[ray]', on every machine of the "
            "cluster in the same version, or run the jobs on this machine with LocalExecutor"
        ) from error


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
