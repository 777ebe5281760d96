"""Jobs on a Ray cluster of two nodes on this machine: as local ones, and when workers and nodes are lost.

Left out where Ray is not installed, as on a Python for which it is not built yet.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from support import worker_jobs
from support.two_nodes import is_running, needs_ray, two_nodes
from support.waiting import until
from transect.errors import MissingDependency, StudyError
from transect.jobs import Job, LocalExecutor, RayExecutor, run_jobs
from transect.jobs import ray_executor as module
from transect.jobs.ray_executor import outcome_of


@pytest.fixture(scope="module")
def nodes():
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def executor(nodes):
    with RayExecutor() as executor:
        yield executor


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"pip install 'transect\[ray\]'"):
        RayExecutor()


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"retries": -1}, {"patience": float("nan")}])
def test_bad_ray_executors_are_refused(wrong):
    with pytest.raises(StudyError, match="at least"):
        RayExecutor(**wrong)


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_where_no_cluster_answers_the_error_says_how_to_start_one(address):
    with pytest.raises(StudyError, match=rf"(?s)cannot connect.*{address}.*ray start --head"):
        RayExecutor(address)


@needs_ray
@pytest.mark.parametrize(
    ("name", "arguments", "died", "words"),
    [
        ("WorkerCrashedError", (), True, "its worker process or node died"),
        ("NodeDiedError", ("gone",), True, "its node died"),
        ("ObjectLostError", ("ab", None, ""), True, "its node died before its result had arrived"),
        ("OutOfMemoryError", ("full",), True, "memory of the node was nearly full"),
        ("RuntimeEnvSetupError", ("no such package",), False, "Ray cannot run it: .*no such package"),
        ("TaskCancelledError", (), False, "Ray cannot run it"),
    ],
)
def test_only_jobs_whose_worker_or_node_died_count_as_such(name, arguments, died, words):
    import ray

    outcome = outcome_of(ray, "a", getattr(ray.exceptions, name)(*arguments))
    assert (outcome.key, outcome.died) == ("a", died)
    assert re.search(words, outcome.error)
    with pytest.raises(StudyError, match="does not answer any more"):
        outcome_of(ray, "a", ray.exceptions.LocalRayletDiedError())


def test_a_cluster_of_this_machine_alone_is_refused_in_favour_of_local_workers():
    with pytest.raises(StudyError, match="use local workers"):
        RayExecutor("local")


@needs_ray
@pytest.mark.slow
def test_outcomes_are_those_of_local_workers_key_for_key(executor, tmp_path):
    def outcomes(runner, folder):
        jobs = [Job(str(number), worker_jobs.square, (number,)) for number in range(8)]
        jobs += [Job("raises", worker_jobs.fail), Job("unsendable", worker_jobs.unsendable)]
        jobs += [Job("lost once", worker_jobs.die_once, (folder, "lost once"))]
        more = {"3": [Job("follows", worker_jobs.count, ("follows", 5))]}
        ended = run_jobs(jobs, runner, following=lambda outcome: more.get(outcome.key, []))
        return {outcome.key: (outcome.result, outcome.error, outcome.died) for outcome in ended}

    folders = [tmp_path / "ray", tmp_path / "local"]
    for folder in folders:
        folder.mkdir()
    with LocalExecutor(workers=2, retries=2) as local:
        found, expected = outcomes(executor, folders[0]), outcomes(local, folders[1])
    assert found == expected
    assert len(found) == 12
    assert found["raises"] == (None, "ValueError: seven is missing", False)


@needs_ray
@pytest.mark.slow
def test_every_job_tells_when_it_begins_and_the_last_step_of_each_stage(executor):
    events = []
    jobs = [Job(str(number), worker_jobs.count, (number, 50)) for number in range(8)]
    assert len(list(run_jobs(jobs, executor, events.append))) == 8
    for job in jobs:
        mine = [event for event in events if event.job == job.key]
        assert [event.kind for event in mine] == ["started", *["advanced"] * (len(mine) - 2), "finished"]
        last = {event.stage: (event.step, event.steps) for event in mine if event.kind == "advanced"}
        assert last == {"first": (50, 50), "second": (50, 50)}
        assert len(mine) <= 6  # two stages of 50 steps in no time: the first and the last of each


@needs_ray
@pytest.mark.slow
def test_a_killed_worker_costs_its_own_job_an_attempt_and_no_other(executor, tmp_path):
    events = []
    jobs = [Job(str(number), worker_jobs.square, (number,)) for number in range(8)]
    jobs.insert(2, Job("dies", worker_jobs.die_once, (tmp_path, "dies")))
    jobs.insert(3, Job("dies always", worker_jobs.die, retries=1))
    outcomes = {outcome.key: outcome for outcome in run_jobs(jobs, executor, events.append)}
    assert {key: outcome.result for key, outcome in outcomes.items() if not outcome.error} == {
        "dies": "dies",
        **{str(number): number * number for number in range(8)},
    }
    assert outcomes["dies always"].died
    assert "died" in outcomes["dies always"].error
    again = [(event.job, event.stage) for event in events if event.stage.startswith("attempt")]
    assert sorted(again) == [("dies", "attempt 2 of 3"), ("dies always", "attempt 2 of 2")]


@needs_ray
@pytest.mark.slow
def test_a_lost_node_costs_only_what_was_being_done_on_it(executor, nodes, tmp_path):
    events = []

    def lose_the_node_when_all_are_busy(event):
        events.append(event)
        if sum(event.kind == "started" for event in events) == 3 and not (tmp_path / "go").exists():
            workers = [int(path.suffix[1:]) for path in tmp_path.glob("job *")]
            nodes.lose()
            until(lambda: sum(map(is_running, workers)) == 1)
            (tmp_path / "go").touch()

    jobs = [Job(f"job {number}", worker_jobs.hold, (tmp_path, f"job {number}")) for number in range(8)]
    try:
        outcomes = list(run_jobs(jobs, executor, lose_the_node_when_all_are_busy))
    finally:
        nodes.add()
    assert sorted((outcome.key, outcome.result) for outcome in outcomes) == [(job.key, job.key) for job in jobs]
    again = {event.job for event in events if event.stage == "attempt 2 of 3"}
    twice = {job.key for job in jobs if len(list(tmp_path.glob(f"{job.key}.*"))) == 2}
    assert len(again) == 2
    assert again == twice


@needs_ray
@pytest.mark.slow
def test_what_an_ended_attempt_still_says_is_not_heard(executor):
    events = []
    jobs = [Job("haunts", worker_jobs.haunt), *(Job(f"nap {number}", worker_jobs.nap) for number in range(6))]
    assert len(list(run_jobs(jobs, executor, events.append))) == 7
    kinds = [event.kind for event in events if event.job == "haunts"]
    assert kinds[-1] == "finished"
    assert {event.job for event in events if event.stage.startswith("ghost")} <= {"haunts"}


@needs_ray
@pytest.mark.slow
def test_jobs_are_handed_to_the_cluster_as_it_can_run_them_and_a_few_more(executor):
    most = 0
    for _ in run_jobs([Job(str(number), worker_jobs.square, (number,)) for number in range(40)], executor):
        most = max(most, len(executor._attempts))
    assert 3 <= most <= 3 + module._QUEUED


@needs_ray
@pytest.mark.slow
def test_a_job_gets_the_threads_it_asks_for_and_one_too_large_for_every_node_fails(executor):
    jobs = [
        Job("two", worker_jobs.devices, cpus=2),
        Job("half", worker_jobs.devices, cpus=0.5),
        Job("huge", worker_jobs.devices, cpus=3),
        Job("gpu", worker_jobs.devices, gpus=0.5),
    ]
    with RayExecutor(patience=0.1) as impatient:
        outcomes = {outcome.key: outcome for outcome in run_jobs(jobs, impatient)}
    assert (outcomes["two"].result[0], outcomes["half"].result[0]) == (2, 1)
    assert outcomes["huge"].error == "no node of the cluster has 3 processors and 0 GPUs"
    assert outcomes["gpu"].error == "no node of the cluster has 1 processors and 0.5 GPUs"


@needs_ray
@pytest.mark.slow
def test_jobs_are_cancelled_when_the_iterator_is_closed_and_the_executor_goes_on(executor, tmp_path):
    jobs = [Job(key, worker_jobs.tick, (tmp_path,)) for key in "abcdef"]
    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(jobs, executor, stop_when(tmp_path, ticks=3)))
    assert_silence(tmp_path, ticks=3)
    (outcome,) = run_jobs([Job("a", worker_jobs.square, (3,))], executor)
    assert outcome.result == 9


@needs_ray
@pytest.mark.slow
def test_a_connection_that_this_process_has_is_used_and_left_open(executor, nodes, tmp_path):
    with pytest.raises(StudyError, match="connected to a Ray cluster already"):
        RayExecutor(nodes.address)
    with RayExecutor(workers=1) as second, pytest.raises(KeyboardInterrupt):
        list(run_jobs([Job(key, worker_jobs.tick, (tmp_path,)) for key in "ab"], second, stop_when(tmp_path, ticks=1)))
    assert_silence(tmp_path, ticks=1)
    (outcome,) = run_jobs([Job("a", worker_jobs.square, (3,))], executor)
    assert outcome.result == 9


CLIENT = """
import sys
from support import worker_jobs
from transect.jobs import Job, RayExecutor, run_jobs
jobs = [Job(str(number), worker_jobs.square, (number,)) for number in range(3)]
jobs.append(Job("lost", worker_jobs.die_once, (sys.argv[2], "lost")))
events = []
with RayExecutor(sys.argv[1]) as executor:
    outcomes = list(run_jobs(jobs, executor, events.append))
print(sorted((outcome.key, outcome.result) for outcome in outcomes))
print([event.stage for event in events if event.stage.startswith("attempt")])
"""


@needs_ray
@pytest.mark.slow
def test_a_machine_that_is_no_part_of_the_cluster_is_a_client(nodes, tmp_path):
    command = [sys.executable, "-c", CLIENT, f"ray://127.0.0.1:{nodes.port}", str(tmp_path)]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout.splitlines()
    assert lines == ["[('0', 0), ('1', 1), ('2', 4), ('lost', 'lost')]", "['attempt 2 of 3']"]


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it starts in the background
from support import worker_jobs
from transect.jobs import Job, RayExecutor, run_jobs
try:
    with RayExecutor(workers=2) as executor:
        list(run_jobs([Job(name, worker_jobs.tick, (sys.argv[1],)) for name in "ab"], executor))
except KeyboardInterrupt:
    sys.exit(42)
"""


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(("blow", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 42)])
def test_nobody_works_on_when_the_parent_is_stopped(nodes, tmp_path, blow, code):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    parent = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    until(lambda: len(list(tmp_path.glob("*.tick"))) == 2, seconds=90)
    os.killpg(parent.pid, blow)
    assert parent.wait(timeout=60) == code
    assert_silence(tmp_path, ticks=2)


def stop_when(folder, ticks):
    def stop(event):
        until(lambda: len(list(folder.glob("*.tick"))) == ticks)
        raise KeyboardInterrupt

    return stop


def assert_silence(folder, ticks):
    assert len(list(folder.glob("*.tick"))) == ticks
    until(lambda: not any(is_running(int(path.stem)) for path in folder.glob("*.tick")), seconds=10)
    before = [path.read_text() for path in folder.glob("*.tick")]
    time.sleep(0.2)
    assert [path.read_text() for path in folder.glob("*.tick")] == before
