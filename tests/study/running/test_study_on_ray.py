"""A study on a Ray cluster of two nodes: the tables of local workers, also when a worker or a node is lost.

Left out where Ray is not installed, as on a Python for which it is not built yet.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support import study_fakes
from support.study_fakes import GIVEN, same_tables
from support.two_nodes import needs_ray, two_nodes
from support.waiting import until
from transect.jobs import RayExecutor
from transect.study.config import StudyConfig
from transect.study.running.sweep import run_study

pytestmark = needs_ray

STUDY = StudyConfig.parse(
    GIVEN
    | {
        "data": {"train_samples": 400, "test_samples": 200},
        "model": {"width": [6, 9, 12]},
        "train": {"epochs": 150, "batch_size": 20, "learning_rate": 0.02, "checkpoint_every": 5, "seed": [0, 1]},
        "paths": {"paths": 70, "anchors": 4, "split": ["train", "test"]},
    }
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def local(tmp_path_factory, cache) -> Path:
    """The study on two local processes."""
    folder = tmp_path_factory.mktemp("local")
    run_study(STUDY, folder, 2, cache=cache)
    return folder


@pytest.fixture
def nodes(monkeypatch):
    monkeypatch.setenv(study_fakes.LOG, os.devnull)
    with two_nodes() as nodes:
        yield nodes


class Blows:
    """Does one thing after the other to a study, each once two networks are in training.

    The head has one processor, so one of the two is on the second node.
    """

    def __init__(self, *blows):
        self.blows, self.events, self.in_training = list(blows), [], set()

    def __call__(self, event):
        self.events.append(event)
        if event.stage == "training" and event.step < event.steps:
            self.in_training.add(event.job)
        else:
            self.in_training.discard(event.job)
        if self.blows and len(self.in_training) == 2:
            self.blows.pop(0)()
            self.in_training.clear()

    @property
    def repeated(self):
        return {event.job for event in self.events if event.stage.startswith("attempt")}


def on_ray(folder: Path, cache: Path, *blows) -> Blows:
    told = Blows(*blows)
    with RayExecutor() as executor:
        run_study(STUDY, folder, executor, told, cache)
    assert not told.blows, "it was over before anything could happen"
    assert sorted(event.job for event in told.events if event.kind == "finished") == sorted(
        label for _, label in STUDY.labels()
    )
    return told


def kill_a_worker_of(folder: Path):
    def working():
        return [int(path.stem.rpartition("-")[2]) for path in folder.glob("runs/*/state-*.json")]

    until(working)
    os.kill(working()[0], signal.SIGKILL)


def test_a_killed_worker_and_a_lost_node_change_nothing(nodes, local, cache, tmp_path):
    assert len(STUDY.networks()) == 6
    told = on_ray(tmp_path / "ray", cache, lambda: kill_a_worker_of(tmp_path / "ray"), nodes.lose)
    assert told.repeated
    assert same_tables(tmp_path / "ray", local)


@pytest.mark.slow
def test_the_tables_are_those_of_local_workers(nodes, local, cache, tmp_path):
    on_ray(tmp_path / "ray", cache)
    assert same_tables(tmp_path / "ray", local)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["worker", "node"])
def test_each_loss_by_itself_changes_nothing(nodes, local, cache, tmp_path, lost):
    blow = nodes.lose if lost == "node" else lambda: kill_a_worker_of(tmp_path / "ray")
    assert on_ray(tmp_path / "ray", cache, blow).repeated
    assert same_tables(tmp_path / "ray", local)
