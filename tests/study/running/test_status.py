"""What ``study status`` tells: from files alone, also of a study in the making."""

from __future__ import annotations

import json
import os
import socket

import pytest

from support import study_fakes
from support.inline import Inline
from support.study_fakes import SMALL, fake_measure
from transect.errors import StudyError
from transect.study.running.folders import Stated, read_states, run_folder
from transect.study.running.status import RunStatus, StudyStatus, study_status
from transect.study.running.sweep import run_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of which the networks of width 3 have failed."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(study_fakes.LOG, os.devnull)
        patch.setenv(study_fakes.STUMBLE, "3")
        with pytest.raises(StudyError):
            run_study(SMALL, folder, Inline(), cache=tmp_path_factory.mktemp("cache"), measure=fake_measure)
    return folder


def test_done_and_failed_with_the_error(folder):
    found = study_status(folder)
    assert [(run.label, run.condition, run.trained, run.blocks_done, run.blocks) for run in found.runs] == [
        ("width 2, seed 0", "done", True, 2, 2),
        ("width 2, seed 1", "done", True, 2, 2),
        ("width 3, seed 0", "failed", True, 0, 2),
        ("width 3, seed 1", "failed", True, 0, 2),
    ]
    assert found.runs[2].error == "RuntimeError: stumbled"
    assert (found.runs[2].folder / "error.txt").exists()
    assert found.count("failed") == 2
    assert found.seconds_left is None  # nobody is working


def test_a_living_worker_is_running_and_a_dead_one_is_not(folder):
    network = SMALL.networks()[2]
    path = run_folder(folder, network).path
    with Stated(path, lambda *step: None) as stated:
        stated("training", 3, 6)
        (state,) = study_status(folder).runs[2].states
        assert study_status(folder).runs[2].condition == "running"
        assert (state.stage, state.step, state.steps) == ("training", 3, 6)
    assert study_status(folder).runs[2].condition == "failed"
    note = {"stage": "training", "step": 1, "steps": 6, "began": 0.0, "noted": 0.0, "process": 2**30}
    dead = path / "state-dead.json"
    dead.write_text(json.dumps(note | {"host": socket.gethostname()}))
    assert read_states(path) == []
    dead.write_text(json.dumps(note | {"host": "elsewhere"}))  # silent for too long
    assert read_states(path) == []
    dead.write_text("{")
    assert read_states(path) == []
    dead.unlink()


def test_steps_are_passed_on(tmp_path):
    heard = []
    with Stated(tmp_path, lambda *step: heard.append(step)) as stated:
        for step in range(3):
            stated("training", step, 2)
    assert heard == [("training", step, 2) for step in range(3)]
    assert list(tmp_path.iterdir()) == []


def run(width, condition, seconds=0.0, states=()):
    return RunStatus(f"width {width}", condition, True, 0, 1, states, "", None, width, seconds)


def test_the_time_left_is_that_of_networks_of_the_nearest_width(tmp_path):
    with Stated(tmp_path, lambda *step: None) as stated:
        stated("training", 0, 1)
        states = tuple(read_states(tmp_path))
    runs = (run(2, "done", 10.0), run(2, "done", 30.0), run(8, "done", 100.0), run(3, "running", states=states))
    assert StudyStatus("s", runs).seconds_left == pytest.approx(20.0, abs=1.0)
    assert StudyStatus("s", (*runs, run(9, "waiting"))).seconds_left == pytest.approx(120.0, abs=1.0)
    assert StudyStatus("s", (*runs, run(9, "failed"))).seconds_left == pytest.approx(20.0, abs=1.0)


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"found no study.json"):
        study_status(tmp_path)
