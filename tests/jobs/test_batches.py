"""What run_jobs does with any executor: order, follow-ups, totals, second attempts, endings."""

from __future__ import annotations

import math
from collections import deque

import pytest

from transect.errors import InvalidInput, StudyError
from transect.jobs import Executor, Job, Outcome, run_jobs
from transect.jobs.worker import BEGUN


class HereAndNow(Executor):
    """Does jobs in this process, the first given first; the workers of those that are told die so many times."""

    def __init__(self, size=1, deaths=None, retries=0):
        self.size, self.deaths, self.retries = size, dict(deaths or {}), retries
        self.in_hand, self.begun, self.dismissed, self.closed = deque(), [], [], False

    def has_room(self):
        return len(self.in_hand) < self.size

    def is_busy(self):
        return bool(self.in_hand)

    def give(self, job):
        assert self.has_room()
        self.in_hand.append(job)

    def hear(self):
        job = self.in_hand.popleft()
        self.begun.append(job.key)
        return [(job, said) for said in (BEGUN, self._outcome(job))]

    def _outcome(self, job):
        if self.deaths.get(job.key, 0):
            self.deaths[job.key] -= 1
            return Outcome(job.key, error="its worker died", died=True)
        try:
            return Outcome(job.key, result=job.function(*job.args, report=None))
        except ValueError as error:
            return Outcome(job.key, error=str(error), details="traceback")

    def dismiss(self):
        self.dismissed += [job.key for job in self.in_hand]
        self.in_hand.clear()

    def close(self):
        self.closed = True


def nothing(report):
    return None


def refuse(report):
    raise ValueError("no")


def jobs_named(keys, **options):
    return [Job(key, nothing, **options) for key in keys]


def ended(outcomes):
    return [outcome.key for outcome in outcomes]


def test_jobs_that_follow_overtake_those_that_wait_in_the_order_given():
    more = {"a": jobs_named(["a1", "a2"]), "a1": jobs_named(["a11"])}
    outcomes = run_jobs(jobs_named("abc"), HereAndNow(), following=lambda outcome: more.get(outcome.key, []))
    assert ended(outcomes) == ["a", "a1", "a11", "a2", "b", "c"]


def test_jobs_that_follow_wait_for_what_the_executor_has_been_given():
    more = {"a": jobs_named(["a1"])}
    outcomes = run_jobs(jobs_named("abcd"), HereAndNow(size=2), following=lambda outcome: more.get(outcome.key, []))
    assert ended(outcomes) == ["a", "b", "a1", "c", "d"]


def test_totals_count_what_is_announced_and_then_what_has_truly_followed():
    jobs = [Job("good", nothing, follow_ups=2), Job("bad", refuse, follow_ups=3), Job("modest", nothing)]
    more = {"good": jobs_named(["good 1", "good 2"]), "modest": jobs_named(["surprise"])}
    events = []
    list(run_jobs(jobs, HereAndNow(), events.append, ["old"], following=lambda outcome: more.get(outcome.key, [])))
    totals = {event.job: event.jobs_total for event in events if event.kind in ("kept", "finished", "failed")}
    assert totals == {"old": 9, "good": 9, "good 1": 9, "good 2": 9, "bad": 6, "modest": 7, "surprise": 7}
    assert [event.jobs_done for event in events if event.kind != "started"] == [1, 2, 3, 4, 5, 6, 7]


def test_a_job_whose_worker_died_is_tried_again_before_those_that_wait():
    executor, events = HereAndNow(deaths={"a": 2}, retries=2), []
    outcomes = list(run_jobs(jobs_named("ab"), executor, events.append))
    assert executor.begun == ["a", "a", "a", "b"]
    assert [(outcome.key, outcome.error) for outcome in outcomes] == [("a", None), ("b", None)]
    mine = [(event.kind, event.stage, event.message) for event in events if event.job == "a"]
    assert mine == [
        ("started", "", ""),
        ("advanced", "attempt 2 of 3", "its worker died"),
        ("advanced", "attempt 3 of 3", "its worker died"),
        ("finished", "", ""),
    ]


@pytest.mark.parametrize(("retries", "of_job", "attempts"), [(0, None, 1), (2, None, 3), (2, 0, 1), (0, 1, 2)])
def test_a_job_says_how_often_it_is_tried_or_else_the_executor(retries, of_job, attempts):
    executor = HereAndNow(deaths={"a": 9}, retries=retries)
    (outcome,) = run_jobs(jobs_named("a", retries=of_job), executor)
    assert executor.begun == ["a"] * attempts
    assert (outcome.error, outcome.died) == ("its worker died", True)


def test_a_job_that_raises_is_not_tried_again_and_its_callback_hears_of_it():
    executor, heard = HereAndNow(retries=2), []
    (outcome,) = run_jobs([Job("a", refuse)], executor, following=lambda outcome: heard.append(outcome) or [])
    assert executor.begun == ["a"]
    assert (heard, outcome.error) == ([outcome], "no")


def test_an_executor_that_is_given_stays_open_but_loses_its_jobs_when_the_iterator_is_closed():
    executor = HereAndNow(size=3)
    outcomes = run_jobs(jobs_named("abcd"), executor)
    assert next(outcomes).key == "a"
    outcomes.close()
    assert (executor.dismissed, executor.closed) == (["b", "c"], False)
    assert ended(run_jobs(jobs_named("abcd"), executor)) == list("abcd")
    with executor:
        pass
    assert executor.closed


@pytest.mark.parametrize("keys", [["b"], ["c", "c"], ["a"]])
def test_jobs_that_follow_need_keys_of_their_own(keys):
    executor = HereAndNow(size=2)
    with pytest.raises(StudyError, match=f"more than once: \\['{keys[0]}'\\]"):
        list(run_jobs(jobs_named("ab"), executor, following=lambda outcome: jobs_named(keys)))
    assert executor.dismissed == ["b"]


@pytest.mark.parametrize(
    "wrong",
    [{"cpus": 0}, {"cpus": math.inf}, {"gpus": -1}, {"gpus": 1.5}, {"gpus": math.nan}, {"retries": -1}],
)
def test_resources_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidInput, match=r"job 'a': expected .* got"):
        Job("a", nothing, **wrong)


def test_resources_may_be_fractions_and_whole_gpus():
    for gpus in (0, 0.25, 1, 2.0):
        assert Job("a", nothing, cpus=0.5, gpus=gpus).gpus == gpus
