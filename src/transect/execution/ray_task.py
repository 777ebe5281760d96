"""What runs on a Ray cluster: one attempt at a job, and the actor through which attempts tell how far they are."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

from transect.execution.jobs import Outcome
from transect.execution.worker import BEGUN, Reporter, Step, do, failure, limit_threads


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
    last: dict[str, Step] = {}

    def send(step: Step) -> None:
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
        self._news: dict[tuple[int, str], Step] = {}
        self._has_news = asyncio.Event()

    async def say(self, number: int, step: Step) -> None:
        """Take note of a step of an attempt."""
        self._news.pop((number, step.stage), None)  # so that the order is that of the last steps
        self._news[number, step.stage] = step
        self._has_news.set()

    async def take(self) -> list[tuple[int, Step]]:
        """Wait for news; give and forget all there is."""
        await self._has_news.wait()
        news = [(number, step) for (number, _), step in self._news.items()]
        self._news.clear()
        self._has_news.clear()
        return news


def unheard(steps: list[Step], heard: dict[str, Step]) -> list[Step]:
    """Those of the last steps that have not come through the relay."""
    return [step for step in steps if heard.get(step.stage) != step]
