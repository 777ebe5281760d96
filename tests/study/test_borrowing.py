"""Networks taken from the folders of other studies."""

from __future__ import annotations

import os

import pytest
import study_fakes
from study_fakes import GIVEN, SMALL, fake_measure

from transect.errors import StudyError
from transect.storage.tables import read_table
from transect.study.borrowing import borrow_networks
from transect.study.columns import RUN_SCHEMA
from transect.study.config import StudyConfig
from transect.study.sweep import run_study


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def lender(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("lender")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(study_fakes.LOG, os.devnull)
        run_study(SMALL, folder, 2, cache=cache, measure=fake_measure)
    return folder


def test_networks_that_are_the_same_are_not_trained_again(lender, cache, tmp_path, monkeypatch):
    monkeypatch.setenv(study_fakes.LOG, os.devnull)
    other = StudyConfig.parse(
        GIVEN | {"name": "other", "model": {"width": [3, 4]}, "paths": {"paths": 2, "anchors": 3}}
    )
    assert borrow_networks(other, tmp_path / "mine", [lender]) == 2
    assert borrow_networks(other, tmp_path / "mine", [lender]) == 0
    stages = []
    run_study(
        other, tmp_path / "mine", 1, progress=lambda event: stages.append((event.job, event.stage)), cache=cache,
        measure=fake_measure,
    )  # fmt: skip
    assert {job for job, stage in stages if stage == "training"} == {"width 4, seed 0", "width 4, seed 1"}
    mine = {
        (row["width"], row["seed"]): row
        for row in read_table(tmp_path / "mine" / "table.parquet", RUN_SCHEMA).to_pylist()
    }
    for row in read_table(lender / "table.parquet", RUN_SCHEMA).to_pylist():
        if row["width"] == 3:
            for name in ("run", "train_error", "test_error", "weight_norm"):
                assert mine[3, row["seed"]][name] == row[name]


def test_networks_without_the_epochs_asked_for_are_left(lender, tmp_path):
    other = StudyConfig.parse(GIVEN | {"measures": {"epoch": [2, "last"]}})
    assert borrow_networks(other, tmp_path / "mine", [lender]) == 0


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"no runs/ in"):
        borrow_networks(SMALL, tmp_path / "mine", [tmp_path])
