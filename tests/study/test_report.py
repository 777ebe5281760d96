"""What a study leaves for people, and that it is written whole or not at all."""

from __future__ import annotations

import os

import pytest

from support.sweep_tables import sweep
from transect.analysis.judging import judge_claims
from transect.errors import StudyError
from transect.plots import render, width_sweep
from transect.study.report import report_study
from transect.tables.files import write_table


@pytest.fixture
def table(tmp_path):
    return write_table(sweep(), tmp_path / "table.parquet")


def test_the_figure_and_the_verdicts_are_written(tmp_path, table):
    verdict = report_study(table, tmp_path / "out", title="Ours")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"figure.png", "figure.svg", "verdict.txt"}
    figure = width_sweep(table, title="Ours")
    assert (tmp_path / "out" / "figure.png").read_bytes() == render(figure, "png")
    assert (tmp_path / "out" / "figure.svg").read_bytes() == render(figure, "svg")
    assert verdict.summary() == judge_claims(table).summary()
    assert (tmp_path / "out" / "verdict.txt").read_text() == f"{verdict.summary()}\n"
    assert {claim.label for claim in verdict.of(3)} == {"train split", "test split"}


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path, table, monkeypatch):
    report_study(table, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        report_study(table, tmp_path, title="another")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"nowhere\.parquet"):
        report_study(tmp_path / "nowhere.parquet", tmp_path)
