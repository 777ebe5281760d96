"""``transect study``: from a file to tables and figures, as a person meets it."""

from __future__ import annotations

import contextlib
import io
import json

import pyarrow.parquet
import pytest

from support.inline import Inline
from transect.cli import study
from transect.cli.main import main
from transect.cli.study import duration

FILE = """
title = "Tiny"
[data]
train_samples = 60
test_samples = 40
[model]
width = [2, 3, 4]
[train]
epochs = 4
batch_size = 20
learning_rate = 0.05
seed = [0, 1]
[paths]
split = "test"
paths = 2
anchors = 3
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a study file, and the study that was run there."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "tiny.toml").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(folder)
        said = command("study", "run", "tiny.toml", "--workers", "1")
        yield folder, said


def command(*words: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    out = io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        patch.setattr(study, "LocalExecutor", lambda workers, threads: Inline())  # seconds less than processes take
        try:
            main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    return code, out.getvalue()


def test_run_says_what_it_does_and_what_it_wrote(place):
    folder, (code, said) = place
    assert code == 0
    assert "tiny: 6 networks, each measured in 1 way. Everything goes to results/tiny" in said
    assert "[6/6," in said
    table = pyarrow.parquet.read_table(folder / "results" / "tiny" / "table.parquet")
    assert table.num_rows == 6
    for name in ("table.csv", "paths.csv", "timings.csv"):
        assert (folder / "results" / "tiny" / name).exists()


def test_again_everything_is_kept(place):
    code, said = command("study", "run", "tiny.toml", "--workers", "1")
    assert code == 0
    assert "6 of 6 runs were finished before and are kept" in said


def test_dry_run_lists_the_networks_and_runs_nothing(place):
    folder, _ = place
    code, said = command("study", "run", "tiny.toml", "--dry-run", "--out", "elsewhere")
    assert code == 0
    assert "width 4, seed 1" in said
    assert "6 networks of 6 to do" in said
    assert not (folder / "elsewhere").exists()
    assert "0 networks of 6 to do" in command("study", "run", "tiny.toml", "--dry-run")[1]


def test_what_was_not_asked_for_is_said(place):
    for said in (command("study", "run", "tiny.toml", "--dry-run")[1], place[1][1]):
        assert "Not asked for, so by default:" in said
        assert "data: name mnist1d; validation_samples 0; label_noise 0.0; seed 0\n" in said
        assert "schedule constant" in said
        assert "epochs" not in said
        assert "milestones" not in said  # have no say in a constant schedule


def test_a_dry_run_builds_models_of_the_user_only_when_asked(place, monkeypatch):
    folder, _ = place
    (folder / "watched_models.py").write_text(
        "import pathlib\nfrom torch import nn\npathlib.Path('was-imported').touch()\n"
        "def net(width): return nn.Sequential(nn.Linear(40, width), nn.ReLU(), nn.Linear(width, 10))\n"
    )
    (folder / "own.toml").write_text(FILE.replace("[model]", '[model]\nname = "watched_models:net"'))
    code, said = command("study", "run", "own.toml", "--dry-run", "--out", "of-own")
    assert code == 0
    assert "not built" in said
    assert "6 networks of models of your own, whose code only --build runs" in said
    assert not (folder / "was-imported").exists()
    code, said = command("study", "run", "own.toml", "--dry-run", "--build", "--out", "of-own")
    assert code == 0
    assert "not built" not in said
    assert (folder / "was-imported").exists()


def test_control_characters_and_markup_of_files_do_not_reach_the_terminal(place):
    folder, _ = place
    (folder / "shouting_models.py").write_text("def net(): raise ValueError('[bold]\\x1b]0;title\\x07 loud')\n")
    text = FILE.replace("[model]\nwidth = [2, 3, 4]", '[model]\nname = "shouting_models:net"')
    (folder / "loud [red].toml").write_text(text)
    code, said = command("study", "run", "loud [red].toml", "--workers", "1")
    status = command("study", "status", "results/loud [red]")[1]
    assert code == 1
    for shown in (said, status):
        assert "loud [red]: " in shown
        assert "[bold]\\x1b]0;title\\x07 loud" in shown
        assert "\x1b]" not in shown


def test_status_counts(place):
    code, said = command("study", "status", "results/tiny")
    assert code == 0
    assert "tiny: 6 done, 0 running, 0 failed, 0 waiting" in said
    assert command("study", "status", "results/tiny", "--watch")[0] == 0


def test_status_shows_failures_and_ends_with_1(place, tmp_path):
    folder, _ = place
    network = next((folder / "results" / "tiny" / "runs").iterdir())
    copy = tmp_path / "broken" / "runs" / network.name
    copy.mkdir(parents=True)
    (tmp_path / "broken" / "study.json").write_bytes((folder / "results" / "tiny" / "study.json").read_bytes())
    (copy / "error.txt").write_text("Traceback ...\nStudyError: no luck\n")
    code, said = command("study", "status", str(tmp_path / "broken"))
    assert code == 1
    assert "1 failed, 5 waiting" in said
    assert "StudyError: no luck" in said
    assert "error.txt" in said


def test_plot_writes_figures_and_says_what_holds(place, tmp_path):
    code, said = command("study", "plot", "results/tiny", "--to", str(tmp_path / "figures"))
    assert code == 0
    written = {file.name for file in (tmp_path / "figures").iterdir()}
    assert {"width.png", "claims.txt", "follows.csv"} <= written
    assert "Claim 3" in said


def test_export_writes_tables_elsewhere(place, tmp_path):
    assert command("study", "export", "results/tiny", "--to", str(tmp_path / "tables"))[0] == 0
    assert {"table.parquet", "paths.csv", "study.json"} <= {file.name for file in (tmp_path / "tables").iterdir()}
    assert command("study", "plot", str(tmp_path / "tables"))[0] == 0
    code, said = command(
        "study", "run", "tiny.toml", "--rows", str(tmp_path / "tables"), "--out", str(tmp_path / "new")
    )
    assert (code, "6 of 6 rows taken from" in " ".join(said.split())) == (0, True)
    same = [(folder / "table.csv").read_bytes() for folder in (tmp_path / "new", tmp_path / "tables")]
    assert same[0] == same[1]
    code, said = command("study", "export", "results/tiny", "--to", str(tmp_path / "new"))
    assert (code, "got that of another study" in " ".join(said.split())) == (1, True)


def test_compare_pairs_the_networks_of_two_studies(place, tmp_path):
    folder, _ = place
    text = FILE.replace("[data]", "[data]\nlabel_noise = 0.0")
    (folder / "clean.toml").write_text(text)
    assert command("study", "run", "clean.toml", "--workers", "1")[0] == 0
    code, said = command("study", "compare", "results/tiny", "results/clean", "--to", str(tmp_path / "c.parquet"))
    assert code == 0
    assert "results/clean" in said
    assert (tmp_path / "c.csv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "missing.toml"), "cannot read the study file"),
        (("status", "nowhere"), "found no study.json in nowhere"),
        (("plot", "nowhere"), "found no study.json in nowhere"),
        (("run", "tiny.toml", "--networks", "nowhere"), "no runs/ in nowhere"),
    ],
)
def test_wrong_words_get_one_message(place, words, said):
    code, found = command("study", *words)
    assert code == 1
    assert said in " ".join(found.split())
    assert "Traceback" not in found


def test_a_file_that_is_not_finished_names_the_way_to_its_tables(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps({"name": "s"}))
    code, said = command("study", "plot", str(tmp_path))
    assert code == 1
    assert "study export" in " ".join(said.split())


def test_times_are_said_as_people_say_them():
    assert [duration(seconds) for seconds in (3.4, 59, 100, 3599, 3600, 9000)] == [
        "3 s", "59 s", "2 min", "60 min", "1:00 h", "2:30 h",
    ]  # fmt: skip


def test_help_lists_the_commands():
    for name in ("run", "status", "plot", "compare", "export"):
        assert name in command("study", "--help")[1]
