"""Chunks measured in this process, or by several worker processes, handed out as they are finished."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal

from transect.errors import MeasuringError, TransectError
from transect.jobs import Job, JobEvent, LocalExecutor, Outcome, ProgressCallback, run_jobs
from transect.jobs.job import Kind
from transect.measuring.paths import Chunk, packed_places
from transect.measuring.prepared import Options, Prepared, with_place
from transect.measuring.rows import measure_packed, measure_together, one_thread
from transect.support.types import Row

logger = logging.getLogger("transect")


@dataclass(frozen=True)
class Say:
    """Says a line to people: on a terminal, or in the log.

    Attributes:
        line: Says it.
        heard: Whether anybody listens.
    """

    line: Callable[[str], None]
    heard: bool


class Watcher:
    """Counts the paths or planes of every model and tells what happens.

    Args:
        models: Number of models.
        paths: Number of paths, where it is known.
        callback: Hears of events; a job is a model, its steps are paths.
        say: Takes lines for people.
        noun: What a path is called.
    """

    def __init__(
        self, models: int, paths: int | None, callback: ProgressCallback | None, say: Say, noun: str = "path"
    ) -> None:
        self._steps = f"{noun}s"
        self._models, self._paths, self._callback, self.say = models, paths, callback, say
        self._done: dict[str, int] = {}
        self._expected: dict[str, int] = {}
        self._ended = 0

    def began(self, model: str) -> None:
        """A model is begun."""
        self._done[model] = 0
        self._tell(model, "started")

    def advanced(self, model: str, paths: int) -> None:
        """More paths of a model are finished."""
        self._done[model] += paths
        self._tell(model, "advanced")
        self._end_where_all_are_done(model)

    def handed_out(self, model: str, paths: int) -> None:
        """All paths of a model, so many, are finished or in work."""
        self._expected[model] = self._paths = paths
        self._end_where_all_are_done(model)

    def _end_where_all_are_done(self, model: str) -> None:
        if self._expected.get(model) == self._done[model]:
            self._ended += 1
            self._tell(model, "finished", f"{self._done[model]:,} {self._steps} measured")

    def _tell(self, model: str, kind: Kind, message: str = "") -> None:
        if self._callback is not None:
            step, steps = self._done[model], self._paths or 0
            self._callback(JobEvent(model, kind, self._ended, self._models, self._steps, step, steps, message))


@contextmanager
def watching(
    models: int, paths: int | None, progress: ProgressCallback | Literal[False] | None, noun: str = "path"
) -> Iterator[Watcher]:
    """A watcher that draws bars on a terminal until the block ends; elsewhere it only writes to the log.

    Args:
        models: Number of models.
        paths: Number of paths, where it is known.
        progress: A callback to be told instead; False for nothing at all.
        noun: What a path is called.
    """
    if progress is not None or not sys.stderr.isatty():
        yield Watcher(models, paths, progress or None, Say(logger.info, logger.isEnabledFor(logging.INFO)), noun)
        return
    from transect.jobs.progress import study_progress
    from transect.support.terminal import Terminal

    console = Terminal(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    with study_progress(console, "Measuring", "models") as callback:
        yield Watcher(models, paths, callback, Say(say, heard=True), noun)


_TRIES = 2  # a worker can be killed for what another program did; twice for the same paths is no accident

_GUARD = 'Does the script call this under if __name__ == "__main__":, as it must?'


@dataclass(frozen=True)
class Task:
    """A model and the paths to measure it on."""

    model: Prepared
    chunk: Chunk
    options: Options

    def __str__(self) -> str:
        return f"model {self.model.name!r}, {self.chunk}"


@dataclass(frozen=True)
class Finished:
    """What came of a task: rows, or an error whose message begins with its model and paths."""

    model: str
    chunk: Chunk
    rows: list[Row]
    error: Exception | None = None


def work_through(tasks: Iterator[Task], workers: int) -> Iterator[Finished]:
    """Do tasks as they come, in bounded memory: none is asked for before there is somebody to do it (or nearly).

    What a task raised is handed out too, and so is a :class:`MeasuringError` where a worker died twice over one, or
    raised what it should not.
    """
    return _here(tasks) if workers == 1 else _on_workers(tasks, workers)


def _here(tasks: Iterator[Task]) -> Iterator[Finished]:
    with one_thread():
        while (task := next(tasks, None)) is not None:
            finished = _finished_here(task)
            del task  # before the next is made: of a folder of models only one is in memory
            yield finished


def _finished_here(task: Task) -> Finished:
    try:
        model = task.model
        rows = measure_together(model.model, task.chunk.places, task.options, model.std)
        return Finished(model.name, task.chunk, rows)
    except TransectError as error:
        return Finished(task.model.name, task.chunk, [], with_place(error, str(task)))
    except Exception as error:  # a model's own
        return Finished(task.model.name, task.chunk, [], error)


def _on_workers(tasks: Iterator[Task], workers: int) -> Iterator[Finished]:
    given: dict[str, Task] = {}

    def jobs() -> Iterator[Job]:
        for task in tasks:
            model, places = task.model.packed, packed_places(task.chunk.places)
            executor.gather()  # all at once, and only when it is known that a model can be sent
            given[str(task)] = task
            yield Job(str(task), measure_packed, (model, places, task.options, task.model.std))

    executor = LocalExecutor(workers, retries=_TRIES - 1)
    # models are captured here, and constants of theirs are sums too: on one thread
    with one_thread(), executor, closing(run_jobs(jobs(), executor)) as outcomes:
        for outcome in outcomes:
            task = given.pop(outcome.key)
            error = _error(outcome, task)
            yield Finished(task.model.name, task.chunk, [] if error else outcome.result, error)


def _error(outcome: Outcome, task: Task) -> Exception | None:
    if isinstance(outcome.result, TransectError):
        return with_place(outcome.result, str(task))
    if outcome.error is None:
        return None
    hint = f". {_GUARD}" if "exit code 1" in outcome.error else ""
    details = f" ({_TRIES} times){hint}" if outcome.died else f"\n{outcome.details}"
    return MeasuringError(f"{task}: {outcome.error}{details.rstrip()}", lost=outcome.died)
