"""What many jobs look like while they run: bars in a terminal, one line a finished job elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from transect.jobs import JobEvent, ProgressCallback

_ROOM_FOR_A_RUN = len("  width 1000, seed 10: training")  # so that the bars do not jump from stage to stage


@contextmanager
def study_progress(console: Console, title: str, jobs: str = "runs") -> Iterator[ProgressCallback]:
    """A callback for :func:`transect.study.running.sweep.run_study` that draws on ``console`` until the block ends.

    Args:
        console: Where to; bars if it is a terminal, plain lines if not.
        title: What is being done, beside the bar of the whole study.
        jobs: What the jobs are called beside it.

    Yields:
        The callback.
    """
    if not console.is_terminal:
        lines = PlainLines(console)
        yield lines
        lines.close()
        return
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(min_width=_ROOM_FOR_A_RUN)),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress, title, jobs)


class Bars:
    """One bar for the study, and one for each run that is under way; finished runs become lines above them.

    Args:
        progress: Where to draw; its columns may use the field ``count``.
        title: Description of the study's bar.
        jobs: What its jobs are called.
    """

    def __init__(self, progress: Progress, title: str, jobs: str = "runs") -> None:
        self._progress, self._jobs = progress, jobs
        self._study = progress.add_task(title, total=None, count="")
        self._runs: dict[str, TaskID] = {}
        self._parts: dict[str, float] = {}

    def __call__(self, event: JobEvent) -> None:
        """Draw one event."""
        if event.kind == "started":
            self._runs[event.job] = self._progress.add_task(f"  {event.job}", total=None, count="")
        elif event.kind == "advanced":
            self._advance(event)
        else:
            self._end(event)
        self._progress.update(
            self._study,
            completed=event.jobs_done + sum(self._parts.values()),
            total=event.jobs_total,
            count=f"{event.jobs_done}/{event.jobs_total} {self._jobs}",
        )

    def _advance(self, event: JobEvent) -> None:
        self._progress.update(
            self._runs[event.job],
            description=f"  {event.job}: {event.stage}",
            completed=event.step,
            total=event.steps or None,
            count=f"{event.step}/{event.steps}" if event.steps else "",
        )
        # Training is nearly all of a run. Counting it lets the study's bar move, and guess the time left, in between.
        fraction = event.step / event.steps if event.steps else 0.0
        self._parts[event.job] = max(self._parts.get(event.job, 0.0), min(fraction, 1.0))

    def _end(self, event: JobEvent) -> None:
        self._parts.pop(event.job, None)
        if event.job in self._runs:
            self._progress.remove_task(self._runs.pop(event.job))
        self._progress.console.print(_line(event), highlight=False)


class PlainLines:
    """One line when a run has ended, with the time since the study began; nothing in between.

    Args:
        console: Where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._kept = self._total = 0

    def __call__(self, event: JobEvent) -> None:
        """Print one event, if it is one that a log should show."""
        if event.kind == "kept":
            self._kept, self._total = event.jobs_done, event.jobs_total
            return
        self.close()
        if event.kind in ("finished", "failed"):
            seconds = time.monotonic() - self._began
            count = f"[{event.jobs_done}/{event.jobs_total}, {seconds:4.0f} s] "
            self._console.print(Text(count).append(_line(event)), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Say how many runs were kept, if that has not been said."""
        if self._kept:
            self._console.print(
                f"{self._kept} of {self._total} runs were finished before and are kept.", highlight=False
            )
            self._kept = 0


def _line(event: JobEvent) -> Text:
    if event.kind == "kept":
        return Text(f"{event.job}: finished before, kept", style="dim")
    if event.kind == "failed":
        return Text(f"{event.job}: failed: {event.message}", style="red")
    return Text(f"{event.job}: {event.message}")
