"""Networks taken from the folders of other studies."""

from __future__ import annotations

import os
import shutil

import pytest

from support import study_fakes
from support.inline import Inline
from support.study_fakes import GIVEN, SMALL, fake_measure
from transect.errors import StudyError
from transect.study.columns import PATH_SCHEMA, RUN_SCHEMA
from transect.study.config import StudyConfig
from transect.study.running.folders import borrow_networks
from transect.study.running.status import study_status
from transect.study.running.sweep import run_study
from transect.tables.files import read_table


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def lender(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("lender")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(study_fakes.LOG, os.devnull)
        run_study(SMALL, folder, Inline(), cache=cache, measure=fake_measure)
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
        other, tmp_path / "mine", Inline(), progress=lambda event: stages.append((event.job, event.stage)), cache=cache,
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


@pytest.fixture(scope="module")
def committed(lender, tmp_path_factory):
    """What is left of a study on another machine: its run table as CSV, and what it was."""
    folder = tmp_path_factory.mktemp("committed")
    for name in ("table.csv", "study.json"):
        shutil.copy(lender / name, folder)
    return folder


def trained(config, folder, cache, **arguments):
    """Which networks were trained, and what was said."""
    stages, said = [], []
    run_study(
        config, folder, Inline(), progress=lambda event: stages.append((event.job, event.stage)), cache=cache,
        measure=fake_measure, told=said.append, **arguments,
    )  # fmt: skip
    return {job for job, stage in stages if stage == "training"}, said


@pytest.mark.parametrize("name", ["table.csv", "table.parquet", ""])
def test_rows_of_another_machine_are_not_made_again(lender, committed, cache, tmp_path, monkeypatch, name):
    monkeypatch.setenv(study_fakes.LOG, os.devnull)
    source = lender / name if name.endswith("parquet") else committed / name
    networks, said = trained(SMALL, tmp_path, cache, rows=[source])
    assert networks == set()
    assert said[0].startswith("8 of 8 rows taken from ")
    assert not list(tmp_path.glob("runs/*/evaluation.json"))
    for file in ("table.parquet", "table.csv"):
        assert (tmp_path / file).read_bytes() == (lender / file).read_bytes()
    assert {run.condition for run in study_status(tmp_path).runs} == {"done"}
    assert trained(SMALL, tmp_path, cache, rows=[source])[0] == set()


def test_what_rows_do_not_have_is_made_and_they_stay(lender, committed, cache, tmp_path, monkeypatch):
    monkeypatch.setenv(study_fakes.LOG, os.devnull)
    theirs = read_table(lender / "table.parquet", RUN_SCHEMA).to_pylist()
    shorter = StudyConfig.parse(GIVEN | {"model": {"width": [3, 4]}})
    networks, said = trained(shorter, tmp_path, cache, rows=[committed])
    assert networks == {"width 4, seed 0", "width 4, seed 1"}
    assert said == [f"4 of 8 rows taken from {committed / 'table.csv'}; 4 are of other networks or ways of measuring."]
    mine = read_table(tmp_path / "table.parquet", RUN_SCHEMA).to_pylist()
    assert [row for row in mine if row["width"] == 3] == [row for row in theirs if row["width"] == 3]
    assert len(read_table(tmp_path / "paths.parquet", PATH_SCHEMA)) == 2 * 2 * 3  # of those that were made here
    longer = StudyConfig.parse(GIVEN | {"model": {"width": 3}, "paths": {**GIVEN["paths"], "seed": [0, 1]}})
    assert trained(longer, tmp_path, cache)[0] == {"seed 0", "seed 1"}  # another way of measuring needs the networks
    again = [row for row in read_table(tmp_path / "table.parquet", RUN_SCHEMA).to_pylist() if row["paths.seed"] == 0]
    names = ("run", "measuring", "absolute_deviation", "test_error")
    assert [[row[name] for name in names] for row in again] == [
        [row[name] for name in names] for row in theirs if row["width"] == 3
    ]


def test_rows_of_something_else_are_refused_with_what_differs(committed, cache, tmp_path):
    train = {**GIVEN["train"], "epochs": 7}
    with pytest.raises(StudyError, match=r"no row of .*table.csv is of this study:\n  train.epochs: 6 there, 7 here$"):
        run_study(StudyConfig.parse(GIVEN | {"train": train}), tmp_path / "a", 1, cache=cache, rows=[committed])
    paths = {**GIVEN["paths"], "anchors": 5}
    with pytest.raises(StudyError, match=r"paths.anchors: 4 there, 5 here$"):
        run_study(StudyConfig.parse(GIVEN | {"paths": paths}), tmp_path / "b", 1, cache=cache, rows=[committed])
    shutil.copy(committed / "table.csv", tmp_path / "rows.csv")
    with pytest.raises(StudyError, match=r"cannot be told without the study.json of its study beside it"):
        run_study(
            StudyConfig.parse(GIVEN | {"train": train}), tmp_path / "c", 1, cache=cache, rows=[tmp_path / "rows.csv"]
        )
    assert not list(tmp_path.glob("*/runs"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot read the table"),
        ("run,measuring\na,b\n", "table.csv: a row of the table lacks .*'test_error'"),
        ("run\n\xff\n", "lacks"),
    ],
)
def test_tables_that_are_none_are_refused(cache, tmp_path, content, said):
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(StudyError, match=said):
        run_study(SMALL, tmp_path / "study", 1, cache=cache, rows=[tmp_path])
