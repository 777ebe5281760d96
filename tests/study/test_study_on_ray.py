"""A study on a Ray cluster of two nodes: the tables of local workers, also when a worker or a node is lost.

Left out where Ray is not installed: pip install -e '.[dev,ray]'.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import study_fakes
from study_fakes import GIVEN, same_tables

from transect.execution import RayExecutor
from transect.study.config import StudyConfig
from transect.study.sweep import run_study
from two_nodes import needs_ray, two_nodes, until

pytestmark = [needs_ray, pytest.mark.slow]

STUDY = StudyConfig.parse(
    GIVEN
    | {
        "data": {"train_samples": 400, "test_samples": 200},
        "model": {"width": [6, 9, 12, 15]},
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


class Once:
    """Calls something when two networks are in training: the head has one processor, so one is on the second node."""

    def __init__(self, happen):
        self.happen, self.events = happen, []
        self.in_training = set()

    def __call__(self, event):
        self.events.append(event)
        if event.stage == "training" and event.step < event.steps:
            self.in_training.add(event.job)
        else:
            self.in_training.discard(event.job)
        if self.happen is not None and len(self.in_training) == 2:
            happen, self.happen = self.happen, None
            happen()


def on_ray(folder: Path, cache: Path, happen) -> Once:
    told = Once(happen)
    with RayExecutor() as executor:
        run_study(STUDY, folder, executor, told, cache)
    assert told.happen is None, "it was over before anything could happen"
    assert sorted(event.job for event in told.events if event.kind == "finished") == sorted(
        label for _, label in STUDY.labels()
    )
    return told


def test_the_tables_are_those_of_local_workers(nodes, local, cache, tmp_path):
    assert len(STUDY.networks()) == 8
    on_ray(tmp_path / "ray", cache, lambda: None)
    assert same_tables(tmp_path / "ray", local)


def test_a_killed_worker_changes_nothing(nodes, local, cache, tmp_path):
    def working():
        return [int(path.stem.rpartition("-")[2]) for path in (tmp_path / "ray").glob("runs/*/state-*.json")]

    def kill_one():
        until(working)
        os.kill(working()[0], signal.SIGKILL)

    told = on_ray(tmp_path / "ray", cache, kill_one)
    assert any(event.stage.startswith("attempt 2") for event in told.events)
    assert same_tables(tmp_path / "ray", local)


def test_a_lost_node_changes_nothing(nodes, local, cache, tmp_path):
    told = on_ray(tmp_path / "ray", cache, nodes.lose)
    assert any(event.stage.startswith("attempt 2") for event in told.events)
    assert same_tables(tmp_path / "ray", local)
