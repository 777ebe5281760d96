"""What a study looks like while it runs: bars in a terminal, one line a finished run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from transect.execution import JobEvent, ProgressCallback


@contextmanager
def study_progress(console: Console, title: str) -> Iterator[ProgressCallback]:
    """A callback for :func:`transect.study.sweep.run_study` that draws on ``console`` until the block ends."""
    if not console.is_terminal:
        yield PlainLines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress, title)


class Bars:
    """One bar for the study, and one for each run that is under way."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._study = progress.add_task(title, total=None)
        self._runs: dict[str, TaskID] = {}

    def __call__(self, event: JobEvent) -> None:
        """Draw one event."""
        if event.kind == "started":
            self._runs[event.job] = self._progress.add_task(f"  {event.job}", total=None)
        elif event.kind == "advanced":
            description = f"  {event.job}: {event.stage}"
            self._progress.update(
                self._runs[event.job], description=description, completed=event.step, total=event.steps or None
            )
        elif event.kind != "kept":
            self._progress.remove_task(self._runs.pop(event.job))
            self._progress.console.print(_line(event), highlight=False)
        self._progress.update(self._study, completed=event.jobs_done, total=event.jobs_total)


class PlainLines:
    """One line when a run has ended, with the time since the study began; nothing in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._kept = 0

    def __call__(self, event: JobEvent) -> None:
        """Print one event, if it is one that a log should show."""
        if event.kind == "kept":
            self._kept = event.jobs_done
        elif event.kind in ("finished", "failed"):
            seconds = time.monotonic() - self._began
            count = f"[{event.jobs_done}/{event.jobs_total}, {seconds:4.0f} s]"
            self._console.print(f"{count} {_line(event)}", markup=False, highlight=False, soft_wrap=True)
        elif event.kind == "started" and self._kept:
            self._console.print(f"{self._kept} of {event.jobs_total} runs were finished before and are kept.")
            self._kept = 0


def _line(event: JobEvent) -> str:
    sign = "failed: " if event.kind == "failed" else ""
    return f"{event.job}: {sign}{event.message}"
