"""What can go wrong in one network: a clear message, the others go on, and it can be tried again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from support.inline import Inline
from support.study_models import small
from transect.errors import StudyError
from transect.study.columns import RUN_SCHEMA
from transect.study.config import StudyConfig
from transect.study.data.load import load_data
from transect.study.running.folders import run_folder
from transect.study.running.status import study_status
from transect.study.running.sweep import run_study
from transect.tables.files import read_table

HERE = Path(__file__).parents[2]
GIVEN = {
    "data": {"train_samples": 60, "test_samples": 40},
    "model": {"name": "mlp", "width": [2, 3]},
    "train": {"epochs": 4, "batch_size": 20, "learning_rate": 0.05, "checkpoint_every": 2},
    "paths": {"paths": 2, "anchors": 3, "split": "test"},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def models(monkeypatch):
    """Models of the user are found from the current folder, also by the workers."""
    monkeypatch.chdir(HERE)


def study(**changes) -> StudyConfig:
    return StudyConfig.parse({key: {**value, **changes.get(key, {})} for key, value in GIVEN.items()} | {
        key: value for key, value in changes.items() if key not in GIVEN
    })  # fmt: skip


def widths(folder: Path) -> list[int]:
    return [row["width"] for row in read_table(folder / "table.parquet", RUN_SCHEMA).to_pylist()]


def run(config: StudyConfig, folder: Path, cache: Path) -> None:
    run_study(config, folder, Inline(), cache=cache)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("support.study_models:raises_at_three", "three is not my number"),
        pytest.param("support.study_models:Raises", "no training today", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_raises_is_named_and_the_others_go_on(tmp_path, cache, name, said):
    with pytest.raises(StudyError, match=rf"(?s)width 3: .*{said}.*call again"):
        run(study(model={"name": name}), tmp_path, cache)
    assert widths(tmp_path) == [2]
    found = study_status(tmp_path)
    assert [run.condition for run in found.runs] == ["done", "failed"]
    assert said in found.runs[1].error
    assert "study_models.py" in (found.runs[1].folder / "error.txt").read_text()


def test_a_diverging_run_says_when_and_what_to_do(tmp_path, cache):
    config = study(train={"learning_rate": [0.05, 1e30]}, model={"width": 2})
    with pytest.raises(StudyError, match=r"learning_rate 1e\+30: .*finite.*epoch 1 of 4; choose a smaller"):
        run(config, tmp_path, cache)
    assert widths(tmp_path) == [2]


def test_a_smooth_model_is_refused_exactly_and_measured_by_estimates(tmp_path, cache):
    smooth = {"name": "support.study_models:Smooth", "width": 2}
    config = study(model=smooth, measures={"method": ["exact", "estimate"]})
    with pytest.raises(StudyError, match=r"(?s)tanh"):
        run(config, tmp_path, cache)
    (row,) = read_table(tmp_path / "table.parquet", RUN_SCHEMA).to_pylist()
    assert (row["method"], row["flips"]) == ("estimate", None)
    assert row["absolute_deviation"] > 0


@pytest.mark.slow
def test_a_truncated_checkpoint_is_named_with_what_to_do(tmp_path, cache):
    config = study(model={"width": 2}, train={"epochs": 5})
    (network,) = config.networks()
    folder = run_folder(tmp_path, network)
    folder.path.mkdir(parents=True)
    (folder.path / "checkpoint.safetensors").write_bytes(b"\x10\0\0\0")
    with pytest.raises(StudyError, match=r"checkpoint.safetensors.*delete it to train from the start"):
        run(config, tmp_path, cache)
    (folder.path / "checkpoint.safetensors").unlink()
    run(config, tmp_path, cache)
    assert widths(tmp_path) == [2]


def test_a_damaged_part_is_named_when_tables_are_made(tmp_path, cache):
    config = study(model={"width": 2})
    run(config, tmp_path, cache)
    part = next(tmp_path.glob("runs/*/parts/*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(StudyError, match=rf"cannot read the table .*{part.name}"):
        run(config, tmp_path, cache)


def test_missing_images_are_named_before_anything_is_done(tmp_path, cache):
    config = study(data={"name": "images", "folder": str(tmp_path / "nowhere"), "test_samples": None})
    with pytest.raises(StudyError, match="nowhere"):
        run(config, tmp_path / "study", cache)


SCRIPT = """
import resource, sys
from pathlib import Path
from test_study_failures import study
from transect.study.running.sweep import run_study
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))  # what a full disk is like for larger files
    run_study(study(model={"width": [2, 300]}), sys.argv[1], 1, cache=Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX")
@pytest.mark.slow
def test_what_cannot_be_written_fails_alone_and_leaves_nothing_half_there(tmp_path, cache):
    config, folder = study(model={"width": [2, 300]}), tmp_path / "study"
    load_data(config.data[0], cache)
    (tmp_path / "script.py").write_text(SCRIPT)
    place = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(folder), str(cache)],
        env=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "1 of 2 runs failed" in done.stderr
    assert "width 300: " in done.stderr
    assert "File too large" in done.stderr
    assert widths(folder) == [2]
    assert not list(folder.glob("runs/*-0300-*/*.safetensors"))
    assert not list(folder.glob("**/.*part*"))
    run(config, folder, cache)
    assert widths(folder) == [2, 300]


@pytest.mark.slow
def test_networks_of_the_user_are_measured_from_their_checkpoints(tmp_path, cache):
    files = []
    for index in range(2):
        torch.manual_seed(index)
        files.append(str(tmp_path / f"net{index}.pt"))
        torch.save(small(5, 10).state_dict(), files[-1])
    model = {"name": "support.study_models:small", "width": 5, "checkpoint": files}
    config = StudyConfig.parse(GIVEN | {"model": model, "train": {}})
    run(config, tmp_path / "study", cache)
    rows = read_table(tmp_path / "study" / "table.parquet", RUN_SCHEMA).to_pylist()
    assert [row["label"] for row in rows] == [f"checkpoint {file}" for file in files]
    assert rows[0]["absolute_deviation"] != rows[1]["absolute_deviation"]
    assert all(row["epoch"] == 0 and row["parameters"] == 40 * 5 + 5 + 50 + 10 for row in rows)
    torch.save(small(5, 10).state_dict(), files[0])
    run(config, tmp_path / "study", cache)  # new weights are a new network; the other one is kept
    again = read_table(tmp_path / "study" / "table.parquet", RUN_SCHEMA).to_pylist()
    assert again[0]["absolute_deviation"] != rows[0]["absolute_deviation"]
    assert again[1] == rows[1]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ({"kind": ["shift_scale_circle", "circle"]}, "'circle' translates images, but mnist1d has signals"),
        ({"paths": 500}, "at least 500 samples in the test part"),
        ({"samples": "noisy"}, "noisy"),
        ({"split": ["train", "validation"]}, "validation part"),
    ],
)
def test_paths_that_cannot_be_made_are_refused_before_a_network_is_trained(tmp_path, cache, paths, said):
    with pytest.raises(StudyError, match=said):
        run(study(paths=paths), tmp_path / "study", cache)
    assert not (tmp_path / "study").exists()
