"""Jobs on a Ray cluster, each a task of its own."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from transect.errors import StudyError
from transect.jobs import ray_cluster as ray_nodes
from transect.jobs.executor import Executor
from transect.jobs.job import Job, Outcome
from transect.jobs.ray_cluster import connected
from transect.jobs.worker import BEGUN, JobStep, Reporter, do, failure, limit_threads


def attempt(key: str, job: bytes, number: int, relay: Any, threads: int) -> bytes:
    """Do a job; the function of a Ray task.

    Args:
        key: Key of the job.
        job: The job, pickled.
        number: Number of the attempt, by which the relay knows it.
        relay: Handle of a :class:`Relay`.
        threads: Threads that torch may use.

    Returns:
        An outcome and the last step of each stage, pickled. With them the parent knows the steps that did not come
        through the relay in time. Pickled, since Ray would hand out arrays that cannot be written to.
    """
    last: dict[str, JobStep] = {}

    def send(step: JobStep) -> None:
        last[step.stage] = step
        relay.say.remote(number, step)  # not waited for: a job goes on when the relay does not answer

    limit_threads(threads)
    send(BEGUN)
    outcome = _do(key, job, Reporter(send))
    try:
        return pickle.dumps((outcome, list(last.values())))
    except Exception as error:  # pickle raises what it likes
        lost = failure(key, error, "its result cannot be sent to another process: ")
        return pickle.dumps((lost, list(last.values())))


def _do(key: str, job: bytes, report: Reporter) -> Outcome:
    try:
        loaded = pickle.loads(job)
    except Exception as error:  # also whatever importing the job's module raises
        hint = "it cannot be loaded on its node, where its function must be importable as it is here: "
        return failure(key, error, hint)
    return do(loaded, report)


class Relay:
    """Keeps the last step of each stage of each attempt until the parent takes it: bounded, however slow that is.

    An actor of its own, on the parent's node: an attempt that ends, or a node that dies, takes nobody's news with it.
    """

    def __init__(self) -> None:
        self._news: dict[tuple[int, str], JobStep] = {}
        self._has_news = asyncio.Event()

    async def say(self, number: int, step: JobStep) -> None:
        """Take note of a step of an attempt."""
        self._news.pop((number, step.stage), None)  # so that the order is that of the last steps
        self._news[number, step.stage] = step
        self._has_news.set()

    async def take(self) -> list[tuple[int, JobStep]]:
        """Wait for news; give and forget all there is."""
        await self._has_news.wait()
        news = [(number, step) for (number, _), step in self._news.items()]
        self._news.clear()
        self._has_news.clear()
        return news


def unheard(steps: list[JobStep], heard: dict[str, JobStep]) -> list[JobStep]:
    """Those of the last steps that have not come through the relay."""
    return [step for step in steps if heard.get(step.stage) != step]


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


_FAILURES = 5  # after so many in a row nobody asks again: progress is a convenience, results do not depend on it


class News:
    """Steps of attempts, as they are told to a relay on this process's node.

    Args:
        ray: The module, connected.

    Attributes:
        relay: Handle of the :class:`~transect.jobs.ray_executor.Relay`.
        pending: What to wait for, with ``ray.wait``: news; empty when there will be none.
    """

    def __init__(self, ray: Any) -> None:
        self._ray, self._failures = ray, 0
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        options = dict(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
        self.relay = ray.remote(Relay).options(**options).remote()
        self.pending = [self.relay.take.remote()]

    def take(self) -> list[tuple[int, JobStep]]:
        """What has come, with the numbers of the attempts, when :attr:`pending` is ready."""
        try:
            news: list[tuple[int, JobStep]] = self._ray.get(self.pending[0])
            self._failures = 0
        except self._ray.exceptions.RayError:  # it died, and Ray starts it again
            news = []
            self._failures += 1
        self.pending = [self.relay.take.remote()] if self._failures < _FAILURES else []
        return news

    def close(self) -> None:
        """End the relay."""
        if self._ray.is_initialized():  # or the cluster is gone, and the relay with it
            self._ray.kill(self.relay)


_QUEUED = 4  # jobs that wait on the cluster, so that a worker that ends one finds the next
_SECONDS_BETWEEN_CHECKS = 5.0
_SECONDS_TO_LEAVE = 5.0


@dataclass
class _Attempt:
    job: Job
    result: Any  # the reference of what the task will return
    given: float = field(default_factory=time.monotonic)
    heard: dict[str, JobStep] = field(default_factory=dict)

    @property
    def has_begun(self) -> bool:
        return bool(self.heard)


class RayExecutor(Executor):
    """Runs jobs on a Ray cluster: one that runs already, or a private one on this machine.

    Every node needs this version of Python, Ray, torch and transect (``pip install 'transect[ray]'``), and must find
    what else the functions of jobs import. Files that jobs read and write must be in a folder that all nodes share,
    under the same path. A job may be done twice, where a node was only thought dead: it must write its files
    atomically. Of such a job the later attempt counts, and nothing is heard of the earlier one.

    What the cluster can run, and a few jobs more, are handed to it at a time; the others wait here, where those that
    follow from others overtake them. Torch gets as many threads as a job asks for processors. Jobs are cancelled when
    they are dismissed, and with the death of this process.

    Args:
        address: ``"host:6379"``, ``"ray://host:10001"`` (from a machine that is no part of the cluster), or ``"auto"``
            for the cluster of ``RAY_ADDRESS`` or one that runs on this machine. None is ``"auto"``, but for a process
            that is connected already (``ray.init``): that connection is used, and left open.
        workers: Jobs at a time; as many as the cluster can run where None.
        retries: How often a job is done again whose worker process or node died, where the job does not say.
        patience: Seconds after which a job has failed for which the cluster has no node that is large enough; more
            where nodes are started on demand.
        runtime_env: What Ray should set up on the nodes; see ``ray.init``.

    Raises:
        MissingDependency: Ray is not installed.
        StudyError: No cluster answers there, or an argument makes no sense.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        retries: int = 2,
        patience: float = 60.0,
        runtime_env: Mapping[str, object] | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise StudyError(f"expected at least one worker, or None for all of the cluster, got workers={workers}")
        if retries < 0 or not patience >= 0:
            raise StudyError(f"expected retries and patience of at least 0, got {retries} and {patience}")
        self.retries = retries
        self._workers, self._patience = workers, patience
        self._attempts: dict[int, _Attempt] = {}
        self._numbers = itertools.count()
        self._next_check = 0.0
        with ExitStack() as stack:
            self._ray = stack.enter_context(connected(address, runtime_env))
            self._news = News(self._ray)
            stack.callback(self._news.close)
            self._task = self._ray.remote(attempt)
            self._open = stack.pop_all()

    def has_room(self) -> bool:
        """Whether the cluster can run more than it was given, or hardly anything waits there."""
        if self._workers is not None and len(self._attempts) >= self._workers:
            return False
        waiting = sum(not one.has_begun for one in self._attempts.values())
        return waiting < _QUEUED or ray_nodes.load(self._ray, (one.job for one in self._attempts.values())) < 1.0

    def is_busy(self) -> bool:
        """Whether the cluster has any job of ours."""
        return bool(self._attempts)

    def give(self, job: Job) -> None:
        """Hand a job to the cluster, which begins it when a node has what it needs."""
        self._refuse_loss()
        number = next(self._numbers)
        options = dict(num_cpus=job.cpus, num_gpus=job.gpus, max_retries=0, name=job.key)
        arguments = (job.key, self._ray.cloudpickle.dumps(job), number, self._news.relay, max(1, int(job.cpus)))
        self._attempts[number] = _Attempt(job, self._task.options(**options).remote(*arguments))

    def hear(self) -> list[tuple[Job, JobStep | Outcome]]:
        """Wait until a job begins, advances, ends or is lost, but not for ever: may be empty."""
        self._refuse_loss()
        try:
            ready = self._ready()
            return [*self._advanced(ready), *self._ended(ready), *self._stranded()]
        except ConnectionError as error:
            raise cluster_is_gone() from error

    def dismiss(self) -> None:
        """Cancel every job, also in its middle, and wait a few seconds until they are gone."""
        results = [one.result for one in self._attempts.values()]
        self._attempts.clear()
        if results and self._ray.is_initialized():  # or the cluster is gone, and its jobs with it
            for result in results:
                self._ray.cancel(result, force=True)
            self._ray.wait(results, num_returns=len(results), timeout=_SECONDS_TO_LEAVE)

    def close(self) -> None:
        """Cancel every job, and leave the cluster; a private one is ended."""
        with self._open:
            self.dismiss()

    def _refuse_loss(self) -> None:
        """Without a connection, Ray would start a cluster of its own."""
        if not self._ray.is_initialized():
            raise cluster_is_gone()

    def _ready(self) -> list[Any]:
        awaited = [one.result for one in self._attempts.values()] + self._news.pending
        ready, _ = self._ray.wait(awaited, num_returns=1, timeout=_SECONDS_BETWEEN_CHECKS)
        if ready:
            ready, _ = self._ray.wait(awaited, num_returns=len(awaited), timeout=0)
        return list(ready)

    def _advanced(self, ready: list[Any]) -> Iterator[tuple[Job, JobStep]]:
        if self._news.pending and self._news.pending[0] in ready:
            for number, step in self._news.take():
                if number in self._attempts:  # no other is of interest: it has ended, or was given up
                    yield from self._note(self._attempts[number], step)

    def _ended(self, ready: list[Any]) -> Iterator[tuple[Job, JobStep | Outcome]]:
        arrived = set(ready)
        for number, one in list(self._attempts.items()):
            if one.result in arrived:
                del self._attempts[number]
                outcome, steps = self._fetch(one)
                for step in unheard(steps, one.heard):
                    yield from self._note(one, step)
                yield one.job, outcome

    def _fetch(self, one: _Attempt) -> tuple[Outcome, list[JobStep]]:
        try:
            result: tuple[Outcome, list[JobStep]] = pickle.loads(self._ray.get(one.result))
        except self._ray.exceptions.RayError as error:
            return outcome_of(self._ray, one.job.key, error), []
        return result

    def _stranded(self) -> Iterator[tuple[Job, Outcome]]:
        """Jobs that no node is large enough for: Ray would wait for one for ever."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + _SECONDS_BETWEEN_CHECKS
        for number, one in list(self._attempts.items()):
            waits = not one.has_begun and now - one.given >= self._patience
            if waits and not ray_nodes.fits(self._ray, one.job):
                del self._attempts[number]
                self._ray.cancel(one.result, force=True)
                wanted = f"{one.job.cpus:g} processors and {one.job.gpus:g} GPUs"
                yield one.job, Outcome(one.job.key, error=f"no node of the cluster has {wanted}")

    def _note(self, one: _Attempt, step: JobStep) -> Iterator[tuple[Job, JobStep]]:
        one.heard[step.stage] = step
        yield one.job, step
