"""Events of trainings and blocks, told as events of networks."""

from __future__ import annotations

from transect.jobs import JobEvent
from transect.study.running.sweep import RunProgress


def told(*events: tuple, jobs=None, kept=()):
    """What is said of the runs: (run, kind, done, stage, step, steps, message)."""
    heard = []
    jobs = jobs or {"a": ["a", "a | 0", "a | 1"], "b": ["b | 0"], **{run: [] for run in kept}}
    progress = RunProgress(heard.append, jobs, kept)
    for job, kind, *rest in events:
        progress(JobEvent(job, kind, 0, 0, *rest))
    assert {event.jobs_total for event in heard} <= {len(jobs)}
    return [(e.job, e.kind, e.jobs_done, e.stage, e.step, e.steps, e.message) for e in heard]


def test_a_network_is_finished_when_all_its_work_is():
    assert told(
        ("a", "started"),
        ("a", "advanced", "training", 3, 6),
        ("a", "finished", "", 0, 0, "error 0.5"),
        ("a | 1", "started"),
        ("a | 1", "advanced", "measuring", 0, 2),
        ("a | 1", "finished"),
        ("a | 0", "finished"),
        ("b | 0", "started"),
        ("b | 0", "finished"),
    ) == [
        ("a", "started", 0, "", 0, 0, ""),
        ("a", "advanced", 0, "training", 3, 6, ""),
        ("a", "advanced", 0, "measuring", 0, 2, ""),
        ("a", "advanced", 0, "measuring", 1, 2, ""),
        ("a", "finished", 1, "", 0, 0, "error 0.5"),
        ("b", "started", 1, "", 0, 0, ""),
        ("b", "finished", 2, "", 0, 0, "measured"),
    ]


def test_what_is_kept_is_said_first():
    assert told(kept=["k"]) == [("k", "kept", 1, "", 0, 0, "")]


def test_a_failure_is_said_once_and_nothing_after_it():
    found = told(("a | 0", "failed", "", 0, 0, "bad"), ("a | 1", "failed", "", 0, 0, "bad"), ("a", "finished"))
    assert found == [("a", "failed", 1, "", 0, 0, "bad")]


def test_attempts_of_blocks_are_passed_on():
    found = told(("a | 0", "advanced", "attempt 2 of 3", 0, 0, "its node died"))
    assert found == [("a", "advanced", 0, "attempt 2 of 3", 0, 0, "its node died")]
