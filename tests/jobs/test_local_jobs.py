"""Jobs on worker processes: results, progress, failures, deaths, interruption, orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import worker_jobs
from support.waiting import until
from transect.errors import StudyError
from transect.jobs import Job, LocalExecutor, Outcome, raise_failures, run_jobs


def test_results_and_events_of_jobs_that_succeed():
    events = []
    jobs = [Job(str(number), worker_jobs.square, (number,)) for number in range(4)]
    outcomes = list(run_jobs(jobs, workers=2, progress=events.append, kept=["earlier"]))
    assert {outcome.key: outcome.result for outcome in outcomes} == {"0": 0, "1": 1, "2": 4, "3": 9}
    assert (events[0].job, events[0].kind) == ("earlier", "kept")
    for job in jobs:
        mine = [event for event in events if event.job == job.key]
        assert (mine[0].kind, mine[-1].kind) == ("started", "finished")
        assert (mine[-2].stage, mine[-2].step, mine[-2].steps) == ("squaring", 3, 3)
    assert [event.jobs_done for event in events] == sorted(event.jobs_done for event in events)
    assert (events[-1].jobs_done, events[-1].jobs_total) == (5, 5)


def test_two_workers_work_at_the_same_time(tmp_path):
    jobs = [Job(me, worker_jobs.meet, (tmp_path, me, other)) for me, other in [("a", "b"), ("b", "a")]]
    assert {outcome.result for outcome in run_jobs(jobs, workers=2)} == {"a", "b"}


def test_one_worker_does_all_jobs_in_order_with_one_thread():
    jobs = [Job(name, worker_jobs.threads_and_pid) for name in "cab"]
    outcomes = list(run_jobs(jobs, workers=1))
    assert [outcome.key for outcome in outcomes] == ["c", "a", "b"]
    assert {outcome.result[0] for outcome in outcomes} == {1}
    assert len({outcome.result[1] for outcome in outcomes} | {os.getpid()}) == 2


def test_failures_and_deaths_are_reported_and_the_others_go_on():
    events = []
    functions = {"raises": worker_jobs.fail, "killed": worker_jobs.die, "leaves": worker_jobs.leave}
    jobs = [Job(name, function) for name, function in functions.items()] + [Job("good", worker_jobs.square, (3,))]
    outcomes = {outcome.key: outcome for outcome in run_jobs(jobs, workers=1, progress=events.append)}
    assert outcomes["good"].result == 9
    assert outcomes["raises"].error == "ValueError: seven is missing"
    assert "worker_jobs.py" in outcomes["raises"].details
    assert "SIGKILL" in outcomes["killed"].error
    assert "exit code 7" in outcomes["leaves"].error
    assert {event.job for event in events if event.kind == "failed"} == set(functions)
    with pytest.raises(StudyError, match=r"3 of 4 runs failed:\n  raises: ValueError: seven is missing\n") as caught:
        raise_failures(outcomes.values(), "Try again.")
    assert str(caught.value).endswith("Try again.")


def test_an_executor_serves_batches_one_after_the_other_with_jobs_that_follow(tmp_path):
    def following(outcome):
        return [Job(f"{outcome.key}, later", worker_jobs.square, (4,))] if outcome.key in "ab" else []

    with LocalExecutor(workers=1) as executor:
        first = list(run_jobs([Job(key, worker_jobs.threads_and_pid) for key in "ab"], executor, following=following))
        assert [outcome.key for outcome in first] == ["a", "a, later", "b", "b, later"]
        ticking = run_jobs([Job(key, worker_jobs.tick, (tmp_path,)) for key in ("tick",)], executor, kill_after_tick)
        with pytest.raises(Interruption):
            list(ticking)
        (second,) = run_jobs([Job("a", worker_jobs.threads_and_pid)], executor)
    assert second.result[1] != first[0].result[1]  # its worker was ended in the middle of a job


class Interruption(Exception):
    pass


def kill_after_tick(event):
    raise Interruption


def test_a_lost_worker_costs_an_attempt_only_where_that_is_asked_for(tmp_path):
    events = []
    jobs = [Job("again", worker_jobs.die_once, (tmp_path, "again")), Job("raises", worker_jobs.fail)]
    with LocalExecutor(workers=1, retries=1) as executor:
        outcomes = {outcome.key: outcome for outcome in run_jobs(jobs, executor, events.append)}
    assert (outcomes["again"].result, outcomes["again"].error) == ("again", None)
    assert [event.job for event in events if event.stage == "attempt 2 of 2"] == ["again"]
    (lost,) = run_jobs([Job("once", worker_jobs.die_once, (tmp_path, "once"))], workers=1)
    assert lost.died
    assert "SIGKILL" in lost.error


def test_a_result_that_cannot_be_sent_is_a_failure_that_says_so():
    (outcome,) = run_jobs([Job("a", worker_jobs.unsendable)], workers=1)
    assert "its result cannot be sent to another process" in outcome.error
    assert not outcome.died


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": 1, "threads": 0}, {"workers": 1, "retries": -1}])
def test_bad_local_executors_are_refused(wrong):
    with pytest.raises(StudyError, match="at least"):
        LocalExecutor(**wrong)


def test_no_failure_raises_nothing_and_no_job_needs_no_worker():
    raise_failures([Outcome("a", result=1)])
    assert list(run_jobs([], workers=2, kept=["a"])) == []


@pytest.mark.parametrize(("keys", "workers", "message"), [("aa", 1, "'a'"), ("ab", 0, "workers=0")])
def test_bad_batches_are_refused(keys, workers, message):
    with pytest.raises(StudyError, match=message):
        next(run_jobs([Job(key, worker_jobs.fail) for key in keys], workers))


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it starts in the background
sys.path.insert(0, sys.argv[1])
from support import worker_jobs
from transect.jobs import Job, run_jobs
if __name__ == "__main__":
    jobs = [Job(name, worker_jobs.tick, (sys.argv[2],)) for name in "ab"]
    try:
        list(run_jobs(jobs, workers=2))
    except KeyboardInterrupt:
        sys.exit(42)
"""


@pytest.mark.parametrize(
    ("blow", "code"), [(signal.SIGKILL, -9), pytest.param(signal.SIGINT, 42, marks=pytest.mark.slow)]
)
def test_nobody_works_on_when_the_parent_is_stopped(tmp_path, blow, code):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(Path(__file__).parents[1]), str(tmp_path)]
    # SIGINT goes to the whole group, as Ctrl-C in a terminal does
    parent = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    until(lambda: len(list(tmp_path.glob("*.tick"))) == 2)
    os.killpg(parent.pid, blow) if blow == signal.SIGINT else parent.send_signal(blow)
    _, errors = parent.communicate(timeout=20)
    assert parent.returncode == code
    assert "Traceback" not in errors
    pids = [int(path.stem) for path in tmp_path.glob("*.tick")]
    until(lambda: not any(is_running(pid) for pid in pids), seconds=5)
    before = [path.read_text() for path in tmp_path.glob("*.tick")]
    time.sleep(0.2)
    assert [path.read_text() for path in tmp_path.glob("*.tick")] == before


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().split()[2] == "Z")  # a zombie waits for whoever adopted it
