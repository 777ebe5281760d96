"""Study files: what they say, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from transect.errors import StudyError
from transect.study.files import read_study
from transect.study.naming import SECTIONS

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.toml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_lists_are_grids_and_the_name_is_that_of_the_file(tmp_path):
    study = read_study(
        written(
            tmp_path,
            """
            [model]
            name = "cnn1d"
            width = [4, 8]
            [train]
            epochs = 7
            seed = [0, 1, 2]
            [[paths]]
            split = ["train", "test"]
            [[paths]]
            split = "train"
            samples = "noisy"
            """,
        )
    )
    assert study.name == "mine"
    assert len(study.networks()) == 6
    assert [(one.paths.split, one.paths.samples) for one in study.measurings()] == [
        ("train", "all"),
        ("test", "all"),
        ("train", "noisy"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[train]\nepocs = 3", r"(?s)mine.toml.*train: unknown key 'epocs' \(did you mean epochs\?"),
        ("[train]\nepochs = 'many'", "train.epochs: .*got 'many'"),
        ("[train\nepochs = 3", "mine.toml is not TOML: .*line 1"),
        ("[measures]\nepoch = 9\n[train]\nepochs = 3", "epochs up to train.epochs"),
        ("[model]\ncheckpoint = 'nowhere/*.pt'", "no file fits 'nowhere/"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path, text, said):
    with pytest.raises(StudyError, match=said):
        read_study(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"cannot read the study file .*missing.toml"):
        read_study(tmp_path / "missing.toml")


def test_a_pattern_of_checkpoints_stands_for_its_files(tmp_path, monkeypatch):
    for name in ("b.pt", "a.pt", "c.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    study = read_study(written(tmp_path, '[model]\nname = "mlp"\ncheckpoint = "*.pt"'))
    assert [one.checkpoint for one in study.model] == ["a.pt", "b.pt"]
    assert [label for _, label in study.labels()] == ["checkpoint a.pt", "checkpoint b.pt"]


@pytest.mark.parametrize("path", STUDIES, ids=[path.stem for path in STUDIES])
def test_the_studies_of_the_repository_can_be_read(path):
    study = read_study(path)
    assert study.name == path.stem
    assert len({network.hash() for network in study.networks()}) == len(study.networks())


def default_of(field) -> str:
    default = field.get_default(call_default_factory=True)
    return "" if default in (None, (), {}) else str(default).lower() if isinstance(default, bool) else str(default)


def test_the_page_lists_every_setting_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
    wanted = [
        f"| `{section}.{key}` | {default_of(field)} |"
        for section, settings in SECTIONS.items()
        for key, field in settings.model_fields.items()
    ]
    starts = tuple(f"| `{section}." for section in SECTIONS)
    assert [line for line in page.splitlines() if line.startswith(starts)] == wanted
