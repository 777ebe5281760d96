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
        ("[data]\nseed = " + "9" * 5000, "is not TOML: a value in it is too long"),
        ("[data]\nseed = " + "[" * 50_000, "is not TOML: a value in it is too long, or nested too deeply"),
        ("", "it is empty"),
        ("[train]\nseed = " + str(list(range(100_001))), "expected at most 100000 variants of a section"),
        ("[train]\nseed = " + str([*range(90_000), 7]), "every value of a list once, got 7 twice"),
        (f"[train]\nseed = {list(range(999))}\norder_seed = {list(range(999))}", "at most 100000 variants"),
        (f"[[ways]]\npaths.seed = {list(range(999))}\nmeasures.first_paths = {list(range(1, 999))}", "at most 100000"),
        ("[[paths]]\nkind = 'between_classes'\nradius = 3", "paths.radius: it has no say here"),
        ("[[paths]]\nkind = 'circle'\n[[paths]]\nkind = 'between_classes'\nradius = 3", "paths.radius: it has no say"),
        ("[paths]\nkind = 'circle'\nscale = 0.15", "paths.scale: it has no say"),
        ("[data]\nnoise_seed = 3", "data.noise_seed: it has no say"),
        ("[data]\ndownload = true", "data.download: it has no say"),
        ("[train]\noptimizer = 'adam'\nmomentum = 0.5", "train.momentum: it has no say"),
        ("[measures]\nrtol = 0.1", "measures.rtol: it has no say"),
        ("[data]\nseed = 9223372036854775808", "data.seed: .*less than or equal to 9223372036854775807"),
        ("[train]\nlearning_rate = inf", "train.learning_rate: .*finite"),
        ("[train]\nepochs = true", "train.epochs: .*got True"),
        ("[train]\nlearning_rate = '0.1'", "train.learning_rate: .*got '0.1'"),
        ("name = 'nul.txt'", "name: expected a name that a folder can have"),
        ("name = 'a/../b'", "name: expected a name that a folder can have"),
        ("name = '" + "a" * 101 + "'", "name: .*at most 100"),
        ("name = 'a.'", "name: expected a name that a folder can have"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path, text, said):
    with pytest.raises(StudyError, match=said):
        read_study(written(tmp_path, text))


def test_a_setting_with_a_say_in_one_part_of_a_grid_is_taken(tmp_path):
    study = read_study(written(tmp_path, "[paths]\nkind = ['circle', 'between_classes']\nradius = 3"))
    assert len(study.measurings()) == 2


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
