"""A study killed at five random moments: nothing is repeated, nothing is half there, the tables are the same."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from study_fakes import same_tables

pytestmark = pytest.mark.slow

FILE = """
[data]
train_samples = 400
test_samples = 200
[model]
width = [6, 12, 18, 24]
[train]
epochs = 60
batch_size = 20
learning_rate = 0.02
checkpoint_every = 5
seed = [0, 1]
[paths]
split = ["train", "test"]
paths = 70
"""
TRANSECT = [sys.executable, "-c", "from transect.cli import main; main()"]
FINISHED = ("parts/*.parquet", "evaluation.json")


def start(folder: Path, **streams: int) -> subprocess.Popen:
    return subprocess.Popen(
        [*TRANSECT, "study", "run", "often.toml", "--workers", "2", "--out", "study"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        **streams,
    )


def finished(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for kind in FINISHED for path in folder.glob(f"study/runs/*/{kind}")}


def files(folder: Path) -> set[tuple[Path, int]]:
    """Every state and result of a run, as it was written."""
    states = {(path, path.stat().st_mtime_ns) for path in folder.glob("study/runs/*/*.safetensors")}
    return states | set(finished(folder).items())


def until_written(count: int, folder: Path, process: subprocess.Popen) -> None:
    """Wait until a study has written so many states and results: moments that do not depend on the clock."""
    before, seen, end = files(folder), set(), time.monotonic() + 120
    while len(seen) < count:
        assert process.poll() is None, "it was over before it could be killed"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
        with suppress(FileNotFoundError):  # replaced between listing and looking
            seen |= files(folder) - before


def place(folder: Path, cache: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    folder.mkdir()
    (folder / "often.toml").write_text(FILE)
    return folder


def test_killed_at_five_random_moments_it_ends_as_if_undisturbed(tmp_path, monkeypatch):
    calm = place(tmp_path / "calm", tmp_path / "cache", monkeypatch)
    assert start(calm).wait() == 0

    chance = random.Random(20261126)
    wild = place(tmp_path / "wild", tmp_path / "cache", monkeypatch)
    kept: dict[Path, int] = {}
    for turn in range(5):
        process = start(wild)
        until_written(chance.randint(2, 12), wild, process)
        if turn == 0:
            rival = start(wild, stderr=subprocess.PIPE)
            assert "FolderInUse" in rival.communicate()[1].decode()
            assert rival.returncode == 1
        process.kill()
        process.wait()
        time.sleep(1.0)  # its workers leave
        now = finished(wild)
        assert {path: now.get(path) for path in kept} == kept, "something finished was done again"
        kept = now
    assert kept
    assert start(wild).wait() == 0
    assert {path: finished(wild)[path] for path in kept} == kept
    assert same_tables(wild / "study", calm / "study")
    assert not list(wild.glob("study/**/.*part*")), "something half written was left"
