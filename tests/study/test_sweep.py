"""A study: complete, interrupted, failed in part, extended; always the same table."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import study_fakes
import torch
from study_fakes import SMALL, fake_measure, slow_measure

from transect.errors import StudyError
from transect.storage.tables import RUN_SCHEMA, TIMING_SCHEMA, read_table
from transect.study.config import RunKey, StudyConfig
from transect.study.data.load import load_data
from transect.study.models import build_model
from transect.study.sweep import run_folder, run_study


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch) -> Path:
    """Where the fake measuring function notes its calls: the width, twice a run."""
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
        run_study(SMALL, folder, workers=2, cache=cache, measure=fake_measure)
    return folder


def with_changes(**changes) -> StudyConfig:
    return StudyConfig.parse(SMALL.model_dump(mode="json") | changes)


def same_tables(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in ["table.parquet", "table.csv"])


def test_the_table_has_a_row_for_each_width_seed_and_split(undisturbed):
    table = read_table(undisturbed / "table.parquet")
    found = [(row["width"], row["seed"], row["split"]) for row in table.to_pylist()]
    assert found == [(w, s, part) for w in (2, 3) for s in (0, 1) for part in ("train", "test")]
    timings = read_table(undisturbed / "timings.parquet", TIMING_SCHEMA).to_pylist()
    assert len(timings) == 8
    assert all(row["train_seconds"] > 0 for row in timings)
    assert not any("seconds" in name for name in RUN_SCHEMA.names)


def test_the_rows_are_those_of_the_weights_that_were_kept(undisturbed, cache):
    data = load_data(SMALL.data, cache)
    for row in read_table(undisturbed / "table.parquet").to_pylist():
        model = build_model("mlp", row["width"], (40,), 10, seed=99)
        run = run_folder(undisturbed, SMALL, RunKey(row["width"], row["seed"]))
        model.load_state_dict(safetensors.torch.load_file(run / "weights.safetensors"))
        split = data.split(row["split"])
        logits = {name: model(data.split(name).inputs).double() for name in ("train", "test")}
        wrong = (logits["train"].argmax(1) != data.train.labels).double().mean()  # against the noisy labels
        assert row["train_error"] == pytest.approx(wrong.item())
        assert row["test_error"] == pytest.approx((logits["test"].argmax(1) != data.test.labels).double().mean().item())
        assert row["logit_std"] == pytest.approx(logits[row["split"]].std(correction=0).item())
        assert row["parameters"] == sum(weight.numel() for weight in model.parameters())
        assert (row["paths"], row["segments"], row["label_noise"]) == (3, 12, 0.2)
        assert len(split) == {"train": 60, "test": 40}[row["split"]]


def test_training_moved_the_weights_and_seeds_differ(undisturbed):
    first, second = (run_folder(undisturbed, SMALL, RunKey(3, seed)) / "weights.safetensors" for seed in (0, 1))
    one, other = safetensors.torch.load_file(first), safetensors.torch.load_file(second)
    fresh = build_model("mlp", 3, (40,), 10, seed=0).state_dict()
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


def test_widths_and_seeds_may_be_added_and_old_runs_are_kept(undisturbed, cache, tmp_path, log):
    run_study(with_changes(widths=[3], seeds=[1]), tmp_path / "study", workers=1, cache=cache, measure=fake_measure)
    events = []
    run_study(SMALL, tmp_path / "study", workers=1, progress=events.append, cache=cache, measure=fake_measure)
    assert log.read_text().split() == ["3"] * 4 + ["2"] * 4
    assert same_tables(tmp_path / "study", undisturbed)
    assert [event.kind for event in events if event.kind != "advanced"] == ["kept"] + ["started", "finished"] * 3
    assert {event.stage for event in events if event.kind == "advanced"} == {"training", "tracing"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"train": {"epochs": 9}}, "train.epochs: 6 there, 9 here"), ({"name": "other"}, "name: small there, other here")],
)
def test_the_folder_of_another_study_is_refused_and_left_alone(undisturbed, cache, changes, said):
    before = (undisturbed / "study.json").read_bytes()
    with pytest.raises(StudyError, match=said):
        run_study(with_changes(**changes), undisturbed, cache=cache, measure=fake_measure)
    assert (undisturbed / "study.json").read_bytes() == before


def test_a_damaged_configuration_file_is_named(tmp_path, cache):
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(StudyError, match="cannot read the configuration"):
        run_study(SMALL, tmp_path, cache=cache, measure=fake_measure)


def test_a_failed_run_is_reported_and_retried_and_the_others_are_kept(undisturbed, cache, tmp_path, log, monkeypatch):
    folder = tmp_path / "study"
    monkeypatch.setenv(study_fakes.STUMBLE, "3")
    with pytest.raises(StudyError, match=r"(?s)2 of 4 runs failed.*width 3, seed 0: RuntimeError: stumbled.*retry"):
        run_study(SMALL, folder, workers=1, cache=cache, measure=fake_measure)
    assert not (folder / "table.parquet").exists()
    error = run_folder(folder, SMALL, RunKey(3, 0)) / "error.txt"
    assert "study_fakes.py" in error.read_text()
    monkeypatch.delenv(study_fakes.STUMBLE)
    log.write_text("")
    run_study(SMALL, folder, workers=1, cache=cache, measure=fake_measure)
    assert log.read_text().split() == ["3"] * 4
    assert not error.exists()
    assert same_tables(folder, undisturbed)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from study_fakes import SMALL, slow_measure
from transect.study.sweep import run_study
if __name__ == "__main__":
    run_study(SMALL, sys.argv[2], workers=1, cache=Path(sys.argv[3]), measure=slow_measure)
"""


@pytest.mark.parametrize(("pattern", "count"), [("checkpoint.safetensors", 1), ("rows.parquet", 2)])
def test_a_study_killed_in_the_middle_is_completed_without_repetition(
    undisturbed, cache, tmp_path, log, pattern, count
):
    folder = tmp_path / "study"
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, *map(str, (tmp_path / "script.py", Path(__file__).parent, folder, cache))]
    )
    until(lambda: len(list(folder.glob(f"runs/*/{pattern}"))) >= count)
    process.kill()
    process.wait()
    time.sleep(0.5)  # the worker leaves
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/rows.parquet")}
    log.write_text("")
    run_study(SMALL, folder, workers=1, cache=cache, measure=slow_measure)
    assert len(log.read_text().split()) == 2 * (4 - len(finished))
    assert all(path.stat().st_mtime_ns == time_before for path, time_before in finished.items())
    assert same_tables(folder, undisturbed)


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
