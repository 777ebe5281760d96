"""A study: complete, interrupted, failed in part, extended; always the same tables."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from support import study_fakes
from support.inline import Inline
from support.study_fakes import GIVEN, SMALL, fake_measure, same_tables, slow_measure
from support.waiting import until
from transect.errors import FolderInUse, StudyError
from transect.study.columns import PATH_SCHEMA, RUN_SCHEMA, TIMING_SCHEMA
from transect.study.config import ModelConfig, StudyConfig
from transect.study.data.load import load_data
from transect.study.models import build_model
from transect.study.running.folders import run_folder
from transect.study.running.sweep import run_study
from transect.study.running.tables import write_tables
from transect.tables.files import read_table
from transect.tables.ownership import owned


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch) -> Path:
    """Where the fake measuring function notes its calls: the width, twice a network."""
    monkeypatch.setenv(study_fakes.LOG, str(tmp_path / "log"))
    (tmp_path / "log").touch()
    return tmp_path / "log"


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache) -> Path:
    """The small study, done in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(study_fakes.LOG, os.devnull)
        run_study(SMALL, folder, 2, cache=cache, measure=fake_measure)
    return folder


def with_changes(**changes) -> StudyConfig:
    return StudyConfig.parse(GIVEN | {key: {**GIVEN.get(key, {}), **value} for key, value in changes.items()})


def folder_of(folder: Path, width: int, seed: int):
    (network,) = with_changes(model={"width": width}, train={"seed": seed}).networks()
    return run_folder(folder, network)


def small_model(width: int, seed: int) -> torch.nn.Module:
    return build_model(ModelConfig(name="mlp", width=width), (40,), 10, seed)


def test_the_tables_have_rows_for_each_network_and_way_of_measuring(undisturbed):
    table = read_table(undisturbed / "table.parquet", RUN_SCHEMA).to_pylist()
    expected = [(w, s, part) for w in (2, 3) for s in (0, 1) for part in ("train", "test")]
    assert [(row["width"], row["seed"], row["split"]) for row in table] == expected
    assert [row["label"] for row in table[::2]] == [f"width {w}, seed {s}" for w in (2, 3) for s in (0, 1)]
    paths = read_table(undisturbed / "paths.parquet", PATH_SCHEMA).to_pylist()
    assert [(r["width"], r["seed"], r["split"], r["path"]) for r in paths] == [
        (*e, k) for e in expected for k in (0, 1, 2)
    ]
    timings = read_table(undisturbed / "timings.parquet", TIMING_SCHEMA).to_pylist()
    assert len(timings) == 8
    assert all(row["train_seconds"] > 0 and row["measure_seconds"] > 0 for row in timings)
    assert not any("seconds" in name for name in (*RUN_SCHEMA.names, *PATH_SCHEMA.names))


def test_a_row_of_a_network_is_the_mean_of_its_rows_of_paths(undisturbed):
    paths = read_table(undisturbed / "paths.parquet", PATH_SCHEMA).to_pylist()
    for row in read_table(undisturbed / "table.parquet", RUN_SCHEMA).to_pylist():
        mine = [p for p in paths if (p["run"], p["measuring"]) == (row["run"], row["measuring"])]
        assert row["absolute_deviation"] == pytest.approx(sum(p["absolute_deviation"] for p in mine) / 3)
        assert all(p["scaled_deviation"] * row["logit_std"] == pytest.approx(p["absolute_deviation"]) for p in mine)


def test_the_rows_are_those_of_the_weights_that_were_kept(undisturbed, cache):
    data = load_data(SMALL.data[0], cache)
    for row in read_table(undisturbed / "table.parquet", RUN_SCHEMA).to_pylist():
        model = small_model(row["width"], seed=99)
        weights = folder_of(undisturbed, row["width"], row["seed"]).path / "weights.safetensors"
        model.load_state_dict(safetensors.torch.load_file(weights))
        logits = {name: model(data.split(name).inputs).double() for name in ("train", "test")}
        wrong = (logits["train"].argmax(1) != data.train.labels).double().mean()  # against the noisy labels
        assert row["train_error"] == pytest.approx(wrong.item())
        assert row["test_error"] == pytest.approx((logits["test"].argmax(1) != data.test.labels).double().mean().item())
        assert row["validation_error"] is None
        assert row["logit_std"] == pytest.approx(logits[row["split"]].std(correction=0).item())
        assert row["parameters"] == sum(weight.numel() for weight in model.parameters())
        assert (row["paths"], row["segments"], row["label_noise"]) == (3, 12, 0.2)
        assert (row["epoch"], row["last"], row["data"], row["model"]) == (6, True, "mnist1d", "mlp")


def test_training_moved_the_weights_and_seeds_differ(undisturbed):
    first, second = (folder_of(undisturbed, 3, seed).path / "weights.safetensors" for seed in (0, 1))
    one, other = safetensors.torch.load_file(first), safetensors.torch.load_file(second)
    fresh = small_model(3, seed=0).state_dict()
    assert all(not torch.equal(one[name], fresh[name]) for name in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_a_finished_study_does_nothing_and_says_so(undisturbed, cache, log):
    before, events = (undisturbed / "table.parquet").read_bytes(), []
    path = run_study(SMALL, undisturbed, progress=events.append, cache=cache, measure=fake_measure)
    assert path == undisturbed / "table.parquet"
    assert path.read_bytes() == before
    assert log.read_text() == ""
    assert [event.kind for event in events] == ["kept"] * 4
    assert (events[-1].job, events[-1].jobs_done, events[-1].jobs_total) == ("width 3, seed 1", 4, 4)


def test_networks_may_be_added_and_old_ones_are_kept(undisturbed, cache, tmp_path, log):
    one = with_changes(model={"width": 3}, train={"seed": 1})
    run_study(one, tmp_path / "study", Inline(), cache=cache, measure=fake_measure)
    events = []
    run_study(SMALL, tmp_path / "study", Inline(), progress=events.append, cache=cache, measure=fake_measure)
    assert log.read_text().split() == ["3"] * 4 + ["2"] * 4
    assert same_tables(tmp_path / "study", undisturbed)
    assert [event.kind for event in events if event.kind != "advanced"] == ["kept"] + ["started", "finished"] * 3
    assert {event.stage for event in events if event.kind == "advanced"} == {"training", "measuring"}
    assert events[-1].message.startswith("train error 0.")


@pytest.mark.slow
def test_ways_of_measuring_may_be_added_and_nothing_is_trained_again(undisturbed, cache, tmp_path, log):
    folder = tmp_path / "study"
    run_study(with_changes(paths={"split": "test"}), folder, Inline(), cache=cache, measure=fake_measure)
    weights = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/weights.safetensors")}
    log.write_text("")
    run_study(SMALL, folder, Inline(), cache=cache, measure=fake_measure)
    assert len(log.read_text().split()) == 4
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert len(weights) == 4
    assert same_tables(folder, undisturbed)


@pytest.mark.slow
def test_epochs_asked_for_are_measured_with_the_weights_of_that_time(cache, tmp_path):
    study = with_changes(
        model={"width": 2}, train={"seed": 0}, paths={"split": "test"}, measures={"epoch": [2, "last"]}
    )
    run_study(study, tmp_path / "study", Inline(), cache=cache, measure=fake_measure)
    rows = read_table(tmp_path / "study" / "table.parquet", RUN_SCHEMA).to_pylist()
    assert [(row["epoch"], row["last"]) for row in rows] == [(2, False), (6, True)]
    short = with_changes(model={"width": 2}, train={"seed": 0, "epochs": 2}, paths={"split": "test"})
    run_study(short, tmp_path / "short", Inline(), cache=cache, measure=fake_measure)
    (row,) = read_table(tmp_path / "short" / "table.parquet", RUN_SCHEMA).to_pylist()
    for name in ("train_error", "test_error", "weight_norm", "absolute_deviation", "logit_std"):
        assert rows[0][name] == row[name]
        assert rows[0][name] != rows[1][name]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"epochs": 9}}, "train.epochs: 6 there, 9 here"),
        ({"data": {"noise_seed": 3}}, "data.noise_seed: 0 there, 3 here"),
    ],
)
def test_the_folder_of_another_study_is_refused_and_left_alone(undisturbed, cache, changes, said):
    before = (undisturbed / "study.json").read_bytes()
    with pytest.raises(StudyError, match=said):
        run_study(with_changes(**changes), undisturbed, cache=cache, measure=fake_measure)
    with pytest.raises(StudyError, match="name: small there, other here"):
        run_study(StudyConfig.parse(GIVEN | {"name": "other"}), undisturbed, cache=cache, measure=fake_measure)
    assert (undisturbed / "study.json").read_bytes() == before


def test_settings_that_do_not_go_together_are_refused_before_anything_is_done(tmp_path, cache):
    wrong = [
        ({"measures": {"epoch": 7}}, "expected epochs up to train.epochs, got .7."),
        ({"measures": {"method": "estimate", "drop_last_region": True}}, "need every region"),
        ({"model": {"checkpoint": "a.pt"}}, "expected one variant of .train."),
    ]
    for changes, said in wrong:
        with pytest.raises(StudyError, match=said):
            run_study(with_changes(**changes), tmp_path / "study", cache=cache)
    assert not (tmp_path / "study").exists()


def test_a_damaged_configuration_file_is_named(tmp_path, cache):
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(StudyError, match="cannot read the configuration"):
        run_study(SMALL, tmp_path, cache=cache, measure=fake_measure)


def test_what_failed_is_reported_and_retried_and_the_rest_is_kept(undisturbed, cache, tmp_path, log, monkeypatch):
    folder = tmp_path / "study"
    monkeypatch.setenv(study_fakes.STUMBLE, "3")
    events = []
    with pytest.raises(StudyError, match=r"(?s)width 3, seed 0.*RuntimeError: stumbled.*retry"):
        run_study(SMALL, folder, Inline(), progress=events.append, cache=cache, measure=fake_measure)
    ends = [(event.job, event.kind) for event in events if event.kind in ("finished", "failed")]
    assert sorted(ends) == [(f"width {w}, seed {s}", k) for w, k in ((2, "finished"), (3, "failed")) for s in (0, 1)]
    assert [row["width"] for row in read_table(folder / "table.parquet", RUN_SCHEMA).to_pylist()] == [2] * 4
    error = folder_of(folder, 3, 0).error
    assert "study_fakes.py" in error.read_text()
    monkeypatch.delenv(study_fakes.STUMBLE)
    log.write_text("")
    run_study(SMALL, folder, Inline(), cache=cache, measure=fake_measure)
    assert log.read_text().split() == ["3"] * 4
    assert not error.exists()
    assert same_tables(folder, undisturbed)


def test_tables_of_what_is_finished_can_be_had_at_any_time(undisturbed, cache, tmp_path):
    folder = tmp_path / "study"
    run_study(with_changes(model={"width": 2}), folder, Inline(), cache=cache, measure=fake_measure)
    write_tables(SMALL, folder, tmp_path / "to")
    rows = read_table(tmp_path / "to" / "table.parquet", RUN_SCHEMA).to_pylist()
    assert rows == read_table(undisturbed / "table.parquet", RUN_SCHEMA).to_pylist()[:4]


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.study_fakes import SMALL, slow_measure
from transect.study.running.sweep import run_study
if __name__ == "__main__":
    run_study(SMALL, sys.argv[2], 1, cache=Path(sys.argv[3]), measure=slow_measure)
"""


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("checkpoint.safetensors", 1), pytest.param("parts/*.parquet", 3, marks=pytest.mark.slow)],
)
def test_a_study_killed_in_the_middle_is_completed_without_repetition(
    undisturbed, cache, tmp_path, log, pattern, count
):
    folder = tmp_path / "study"
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, *map(str, (tmp_path / "script.py", Path(__file__).parents[2], folder, cache))]
    )
    until(lambda: len(list(folder.glob(f"runs/*/{pattern}"))) >= count)
    process.kill()
    process.wait()
    time.sleep(0.5)  # the worker leaves
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/parts/*.parquet")}
    log.write_text("")
    run_study(SMALL, folder, Inline(), cache=cache, measure=slow_measure)
    assert len(log.read_text().split()) == 8 - len(finished)
    assert all(path.stat().st_mtime_ns == time_before for path, time_before in finished.items())
    assert same_tables(folder, undisturbed)


def test_settings_that_differ_are_columns_of_their_type(cache, tmp_path):
    study = with_changes(
        data={"seed": [0, 1], "train_samples": 20, "test_samples": 20},
        model={"width": 2},
        train={"learning_rate": [0.05, 1], "epochs": 1, "seed": 0},
        paths={"shift": [1, 2.5], "split": "test", "paths": 2},
        measures={"first_paths": [1, None]},
    )
    run_study(study, tmp_path, Inline(), cache=cache, measure=fake_measure)
    for name, schema in (("table", RUN_SCHEMA), ("paths", PATH_SCHEMA), ("timings", TIMING_SCHEMA)):
        table = read_table(tmp_path / f"{name}.parquet", schema)
        found = {field.name: str(field.type) for field in table.schema if "." in field.name}
        assert found == {
            "data.seed": "int64",
            "train.learning_rate": "double",
            "paths.shift": "double",
            "measures.first_paths": "int64",
        }
        keys = [tuple(row[key] for key in (*found, "path") if key in row) for row in table.to_pylist()]
        assert len(set(keys)) == len(keys) == (24 if name == "paths" else 16)


def test_a_second_process_is_refused_while_one_works_in_the_folder(undisturbed, cache, tmp_path):
    with owned(tmp_path / "study"), pytest.raises(FolderInUse, match="is in use by process"):
        run_study(SMALL, tmp_path / "study", Inline(), cache=cache, measure=fake_measure)
    assert [path.name for path in (tmp_path / "study").iterdir()] == [".lock"]
    run_study(SMALL, tmp_path / "study", Inline(), cache=cache, measure=fake_measure, networks=[undisturbed])
    assert same_tables(tmp_path / "study", undisturbed)
