"""The three training regimes of the study of CIFAR-10, reduced to two widths, two seeds and 200 images of noise."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from support.commands import run_command
from transect.study.columns import RUN_SCHEMA
from transect.tables.files import read_table

STUDIES = Path(__file__).parents[2] / "studies"
TRAIN, TEST = 30, 5  # images of a class
SMALLER = {
    "folder": '"images"',
    "train_samples": "200",
    "width": "[1, 2]",
    "seed": "[3, 4]",
    "milestones": "[1, 2]",
    "epochs": "3",
    "paths": "2",
    "method": '"estimate"\nmax_samples = 33',
}


def reduced(name: str) -> str:
    """A ready study file with smaller numbers."""
    text = (STUDIES / f"{name}.toml").read_text()
    for key, value in SMALLER.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    return text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With images of noise in it, and the current one."""
    random = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("test", TEST)):
        for label in range(10):
            inside = tmp_path / "images" / part / f"class-{label}"
            inside.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(inside / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "batch_norm", "rates"),
    [
        ("regime-sgd", False, [0.1, 0.02, 0.004]),
        pytest.param("regime-adam", True, [0.001] * 3, marks=pytest.mark.slow),
        pytest.param("regime-cosine", True, [0.001, 0.00075, 0.00025], marks=pytest.mark.slow),
    ],
)
def test_a_reduced_regime_trains_and_measures_every_network(name, batch_norm, rates, folder, capsys):
    (folder / "small.toml").write_text(reduced(name))
    code, said, wrong = run_command(capsys, "study", "run", "small.toml", "--workers", "1", "--out", "results")
    assert code == 0, wrong
    assert "4 networks" in said + wrong
    rows = read_table(folder / "results" / "table.parquet", RUN_SCHEMA).to_pylist()
    seen = [(row["width"], row["seed"], row["split"]) for row in rows]
    assert sorted(seen) == [(w, s, p) for w in (1, 2) for s in (3, 4) for p in ("test", "train")]
    for row in rows:
        assert row["batch_norm"] is batch_norm
        assert (row["label_noise"], row["paths"]) == (0.2, 2)
        assert row["absolute_deviation"] > 0
        assert 0 <= row["test_error"] <= 1
    curve = pyarrow.parquet.read_table(next(folder.glob("results/runs/*/learning_curve.parquet")))
    assert curve["learning_rate"].to_pylist() == pytest.approx(rates)
