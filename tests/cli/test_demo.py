"""The demo from data to picture, on a study so small that it takes seconds."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import transect.cli.demo
from support.sweep_tables import sweep
from transect.analysis.judging import judge_claims
from transect.cli.demo import results_table, run_demo
from transect.errors import StudyError
from transect.study.config import StudyConfig


def small_study(seeds: int, epochs: int = 3) -> StudyConfig:
    return StudyConfig.parse(
        {
            "name": "small",
            "data": {"train_samples": 60, "test_samples": 40, "label_noise": 0.2},
            "model": {"width": [2, 3, 5]},
            "train": {"epochs": epochs, "batch_size": 20, "learning_rate": 0.05, "seed": list(range(seeds))},
            "paths": {"paths": 2, "anchors": 3, "split": ["train", "test"]},
        }
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's folder and what it showed, the first time and again."""
    folder = tmp_path_factory.mktemp("a demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(transect.cli.demo, "demo_study", small_study)
        yield folder, [shown(folder), shown(folder)]


def shown(folder: Path, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    run_demo(1, folder, 1, console)
    return console.file.getvalue()


def test_everything_it_says_it_wrote_is_there(demo):
    folder, (text, _) = demo
    assert str(folder) in text
    for name in ("figure.png", "figure.svg", "table.parquet", "table.csv", "verdict.txt", "timings.csv", "runs/"):
        assert name in text
        assert (folder / name).exists()


def test_it_shows_the_runs_the_table_the_verdict_and_what_to_try_next(demo):
    folder, (text, _) = demo
    assert "3 MLPs on MNIST-1D with 20 % wrong labels: widths 2, 3, 5; 1 seed." in text
    assert all(f"[{done}/3," in text for done in (1, 2, 3))
    assert judge_claims(folder / "table.parquet").summary() in text
    assert f"transect demo --seeds 4 --out {shlex.quote(str(folder))}" in text


def test_the_second_time_every_run_is_kept_and_the_answer_is_the_same(demo):
    _, (first, second) = demo
    assert "3 of 3 runs were finished before and are kept." in second
    assert "[1/3," not in second
    assert first[first.index("Claim 2") :] == second[second.index("Claim 2") :]


def test_the_folder_of_another_study_is_refused(demo, monkeypatch):
    folder, _ = demo
    monkeypatch.setattr(transect.cli.demo, "demo_study", lambda seeds: small_study(seeds, epochs=4))
    with pytest.raises(StudyError, match=r"train\.epochs: 3 there, 4 here"):
        shown(folder)


def test_the_table_has_means_over_seeds_marks_peaks_and_the_threshold_and_is_not_cut_off():
    deviation = np.array([[10.0, 40.0, 123456.0, 60.0, 25.0], [30.0, 60.0, 123456.0, 80.0, 45.0]]).T
    table = sweep(absolute_deviation=deviation, crossings=[1e6, 2e6, 3e6, 4e6, 5e6])
    console = Console(file=io.StringIO(), width=80)
    console.print(results_table(table))
    lines = console.file.getvalue().splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines if line.strip()[:1].isdigit() or ">" in line[:9]}
    assert [cells[width][3] for width in ("10", "20", "40", ">80", "160")] == [
        "20.0",
        "50.0",
        "*123456.0",
        "70.0",
        "35.0",
    ]
    assert cells["40"][2] == "*0.600"
    assert cells["160"][-2:] == ["5,000,000", "*10.00"]
    assert "…" not in "".join(lines)
