"""The study files that come with the package are found by name, right, and in the wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from transect.errors import StudyError
from transect.study.files import read_study, ready_studies, study_file

ROOT = Path(__file__).parents[2]


def test_all_files_of_the_repository_are_ready_and_the_wheel_has_their_folder():
    assert list(ready_studies()) == sorted(file.stem for file in (ROOT / "studies").glob("*.toml"))
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"studies": "transect/ready_studies"}


@pytest.mark.parametrize("name", list(ready_studies()))
def test_every_ready_study_can_be_read_by_its_name(name: str):
    study = read_study(name)
    assert study.name == name
    assert study.title


def test_a_file_of_the_same_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poster").write_text("")
    assert study_file("poster") == Path("poster")


def test_a_folder_of_results_of_the_same_name_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert read_study("demo").name == "demo"
    (tmp_path / "other").mkdir()
    with pytest.raises(StudyError, match="cannot read the study file other: it is a folder"):
        read_study("other")


def test_a_misspelt_name_is_answered_with_the_right_one():
    with pytest.raises(StudyError, match="did you mean poster-small"):
        read_study("postersmall")
    with pytest.raises(StudyError, match="cannot read the study file"):
        read_study("folder/poster-small")
