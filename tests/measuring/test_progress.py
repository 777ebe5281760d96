"""What is heard while paths are measured."""

from __future__ import annotations

from support.measured import mlp, paths
from transect import measure


def test_events_of_every_model_in_order():
    events = []
    measure({"a": mlp(4), "b": mlp(5)}, paths(5), together=2, progress=events.append)
    heard = [(event.job, event.kind, event.step, event.steps, event.jobs_done) for event in events]
    assert heard == [
        ("a", "started", 0, 5, 0), ("a", "advanced", 2, 5, 0), ("a", "advanced", 4, 5, 0), ("a", "advanced", 5, 5, 0),
        ("a", "finished", 5, 5, 1),
        ("b", "started", 0, 5, 1), ("b", "advanced", 2, 5, 1), ("b", "advanced", 4, 5, 1), ("b", "advanced", 5, 5, 1),
        ("b", "finished", 5, 5, 2),
    ]  # fmt: skip
    assert {event.jobs_total for event in events} == {2}
    assert events[-1].message == "5 paths measured"


def test_kept_rows_are_progress_too(tmp_path):
    measure(mlp(4), paths(5), together=2, out=tmp_path, progress=False)
    events = []
    measure(mlp(4), iter(paths(5)), together=2, out=tmp_path, progress=events.append)
    assert [event.step for event in events if event.kind == "advanced"] == [2, 4, 5]
    assert [event.kind for event in events][-1] == "finished"


def test_silent_where_there_is_no_terminal(capfd):
    measure(mlp(4), paths(2))
    assert capfd.readouterr() == ("", "")
