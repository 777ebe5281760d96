"""What is heard of a measurement while it runs: events for whoever draws them, lines for the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from transect.execution import JobEvent, ProgressCallback
from transect.execution.events import Kind

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
    """Counts the paths of every model and tells what happens.

    Args:
        models: Number of models.
        paths: Number of paths, where it is known.
        callback: Hears of events; a job is a model, its steps are paths.
        say: Takes lines for people.
    """

    def __init__(self, models: int, paths: int | None, callback: ProgressCallback | None, say: Say) -> None:
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
            self._tell(model, "finished", f"{self._done[model]:,} paths measured")

    def _tell(self, model: str, kind: Kind, message: str = "") -> None:
        if self._callback is not None:
            step, steps = self._done[model], self._paths or 0
            self._callback(JobEvent(model, kind, self._ended, self._models, "paths", step, steps, message))


@contextmanager
def watching(models: int, paths: int | None, progress: ProgressCallback | Literal[False] | None) -> Iterator[Watcher]:
    """A watcher that draws bars on a terminal until the block ends; elsewhere it only writes to the log.

    Args:
        models: Number of models.
        paths: Number of paths, where it is known.
        progress: A callback to be told instead; False for nothing at all.
    """
    if progress is not None or not sys.stderr.isatty():
        yield Watcher(models, paths, progress or None, Say(logger.info, logger.isEnabledFor(logging.INFO)))
        return
    from transect.console import study_progress
    from transect.terminal import Terminal

    console = Terminal(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    with study_progress(console, "Measuring", "models") as callback:
        yield Watcher(models, paths, callback, Say(say, heard=True))
