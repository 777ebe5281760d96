"""Progress of a study: bars in a terminal, lines elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from transect.jobs import JobEvent
from transect.jobs.progress import study_progress

EVENTS = [
    JobEvent("width 9, seed 0", "kept", 1, 4),
    JobEvent("width 3, seed 0", "started", 1, 4),
    JobEvent("width 5, seed 0", "started", 1, 4),
    JobEvent("width 3, seed 0", "advanced", 1, 4, "training", 5, 10),
    JobEvent("width 5, seed 0", "advanced", 1, 4, "loading"),
    JobEvent("width 3, seed 0", "advanced", 1, 4, "tracing", 0, 2),
    JobEvent("width 3, seed 0", "finished", 2, 4, message="error [0.5]"),
    JobEvent("width 5, seed 0", "failed", 3, 4, message="NaN loss"),
]


def shown(events, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, legacy_windows=False, color_system=None)
    with study_progress(console, "The sweep") as progress:
        for event in events:
            progress(event)
            if terminal:
                progress._progress.refresh()
    return file.getvalue()


def test_a_log_has_one_line_for_each_run_that_ended():
    lines = re.sub(r", +\d+ s\]", ", time]", shown(EVENTS, terminal=False)).splitlines()
    assert lines == [
        "1 of 4 runs were finished before and are kept.",
        "[2/4, time] width 3, seed 0: error [0.5]",
        "[3/4, time] width 5, seed 0: failed: NaN loss",
    ]


def test_a_log_says_so_when_there_was_nothing_to_do():
    kept = [JobEvent(f"width {width}", "kept", width, 2) for width in (1, 2)]
    assert shown(kept, terminal=False) == "2 of 2 runs were finished before and are kept.\n"


def test_long_messages_stay_on_one_line():
    message = "word " * 60
    (line,) = shown([JobEvent("a", "finished", 1, 1, message=message)], terminal=False).splitlines()
    assert message.strip() in line


def test_a_terminal_shows_a_bar_for_the_sweep_and_one_for_each_run():
    frames = shown(EVENTS[:5], terminal=True)
    assert "The sweep" in frames
    assert "1/4 runs" in frames
    assert "width 3, seed 0: training" in frames
    assert "5/10" in frames
    assert "width 5, seed 0: loading" in frames
    assert "width 9, seed 0: finished before, kept" in frames


def bars(events):
    console = Console(file=io.StringIO(), force_terminal=True)
    with study_progress(console, "The sweep") as progress:
        for event in events:
            progress(event)
        return progress._progress.tasks


@pytest.mark.parametrize(("count", "completed"), [(1, 1), (3, 1), (4, 1.5), (6, 1.5), (7, 2), (8, 3)])
def test_the_bar_of_the_sweep_counts_ended_runs_and_parts_of_those_under_way(count, completed):
    sweep, *_ = bars(EVENTS[:count])
    assert (sweep.completed, sweep.total) == (completed, 4)


def test_bars_of_ended_runs_go_away():
    assert [task.description.strip() for task in bars(EVENTS[:7])] == ["The sweep", "width 5, seed 0: loading"]
    assert [task.description for task in bars(EVENTS)] == ["The sweep"]
