"""Two processes on one folder, killed again and again: one is refused, no row is lost, none is made or there twice."""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import wait

import pyarrow.parquet
import pytest
import torch
from torch import nn

from transect import Measurements, Path, measure
from transect.errors import FolderInUse
from transect.jobs import Executor, LocalExecutor, Outcome
from transect.study.config import StudyConfig
from transect.study.running.measuring import measure_paths
from transect.study.running.sweep import run_study

FORKED = multiprocessing.get_context("forkserver")  # it imports torch once: a process is there at once
FORKED.set_forkserver_preload(
    ["transect.study.running.sweep", "transect.measuring.measure", "torch.export", "torch._dynamo", "mnist1d"]
)
REFUSED = 7
SECONDS = 0.02  # that a piece of work is stretched by, so that there is time to kill it


def slowly(*said):
    time.sleep(SECONDS)


class Here(Executor):
    """Does the jobs in its own process: workers take seconds to start."""

    def __init__(self):
        self.retries, self.jobs = 0, deque()

    def has_room(self):
        return not self.jobs

    def is_busy(self):
        return bool(self.jobs)

    def give(self, job):
        self.jobs.append(job)

    def hear(self):
        job = self.jobs.popleft()
        return [(job, Outcome(job.key, result=job.function(*job.args, report=slowly)))]

    def dismiss(self):
        self.jobs.clear()

    close = dismiss


def at_anchors(model, paths, how, device):
    """In place of a trace, which needs half a second to begin."""
    with torch.no_grad():
        deviations = [model(path.anchors.float()).abs().mean().item() for path in paths]
    return [
        {"segments": len(path), "path_length": float(path.length), "absolute_deviation": deviation}
        for path, deviation in zip(paths, deviations)
    ]


class Measuring:
    """``measure``: models, group by group."""

    units = ("parts/[!.]*.parquet",)
    rest = (".lock", "manifest.json", "paths.txt", "table.csv", "table.parquet")

    def __init__(self, rounds):
        self.models, self.paths = (1, 24) if rounds == 2 else (2, 8 * rounds)

    def do(self, folder):
        torch.set_num_threads(1)
        models = {}
        for seed in range(self.models):
            torch.manual_seed(seed)
            models[f"model {seed}"] = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3)).eval()
        drawn = torch.randn(self.paths, 3, 5, generator=torch.Generator().manual_seed(3))
        measure(models, map(Path, drawn), together=2, out=folder, progress=slowly)

    @staticmethod
    def finished(folder):
        """Every row, with the seconds that it took: one that is made again has others."""
        parts = [pyarrow.parquet.ParquetFile(part).read() for part in folder.glob(Measuring.units[0])]
        return {(row["model"], row["path"]): row for part in parts for row in part.to_pylist()}

    @staticmethod
    def at_end(folder):
        assert sorted(file.name for file in folder.iterdir()) == sorted(Measuring.rest)
        return {(row["model"], row["path"]): row for row in Measurements.read(folder).rows}

    @staticmethod
    def result(folder):
        return repr(Measurements.read(folder).table.drop_columns(["seconds"]).to_pylist())  # NaN is NaN


class Studying:
    """A study: states in training, errors, blocks of paths."""

    units = ("runs/*/parts/[!.]*.parquet", "runs/*/evaluation.json", "runs/*/[!.]*.safetensors")

    def __init__(self, rounds):
        self.workers = 0 if rounds == 2 else 2
        given = {
            "data": {"train_samples": 100, "test_samples": 80},
            "model": {"width": [2, 3, 4]},
            "train": {"epochs": 4, "batch_size": 20, "checkpoint_every": 1, "seed": [*range(1 + rounds // 5)]},
            "paths": {"anchors": 4, "paths": 70, "split": ["train", "test"]},
        }
        self.config = StudyConfig.parse(given)

    def do(self, folder):
        torch.set_num_threads(1)
        with LocalExecutor(self.workers) if self.workers else Here() as executor:
            run_study(self.config, folder, executor, measure=measure_paths if self.workers else at_anchors)

    @staticmethod
    def finished(folder):
        """Every result, with the time at which it was written."""
        return {file: file.stat().st_mtime_ns for kind in Studying.units[:2] for file in folder.glob(kind)}

    @staticmethod
    def at_end(folder):
        assert not list(folder.glob("**/.*part*")), "something half written was left"
        return Studying.finished(folder)

    @staticmethod
    def result(folder):
        return [(folder / f"{name}.{kind}").read_bytes() for name in ("table", "paths") for kind in ("parquet", "csv")]


def attempt(work, folder, told):
    try:
        work.do(folder)
    except FolderInUse as error:
        told.send(str(error))
        sys.exit(REFUSED)


def start(work, folder):
    hears, tells = FORKED.Pipe(duplex=False)
    process = FORKED.Process(target=attempt, args=(work, folder, tells))
    process.start()
    return process, hears


def units(work, folder):
    """Every piece of work that is on the disk, as it was written."""
    found = set()
    for file in (file for kind in work.units for file in folder.glob(kind)):
        with suppress(FileNotFoundError):  # replaced between listing and looking
            found.add((file, file.stat().st_mtime_ns))
    return found


def kill_the_owner(work, folder, written):
    """Begin twice; see one refused; kill the other when it has written so much."""
    before = units(work, folder)
    both = [start(work, folder), start(work, folder)]
    wait([process.sentinel for process, _ in both], timeout=120)
    (refused, hears), (owner, _) = sorted(both, key=lambda each: each[0].is_alive())
    assert (refused.exitcode, owner.is_alive()) == (REFUSED, True)
    message = hears.recv()
    assert f"{folder} is in use by " in message
    assert "nothing was changed" in message
    end, seen = time.monotonic() + 120, set()
    while len(seen) < written:
        assert owner.is_alive(), "it was over before it could be killed"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)
        seen |= units(work, folder) - before
    owner.kill()
    owner.join()


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [Measuring, Studying])
def test_one_of_two_is_refused_and_after_every_kill_the_work_goes_on(tmp_path, monkeypatch, kind, rounds):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work, chance = kind(rounds), random.Random(20261126)
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    kept = {}
    for turn in range(rounds):
        kill_the_owner(work, wild, chance.randint(0, 4) if turn < rounds - 1 else 7)
        time.sleep(1.0 if getattr(work, "workers", 0) else 0.0)  # orphaned workers leave
        now = work.finished(wild)
        assert {key: now.get(key) for key in kept} == kept, "something finished was lost, or made again"
        kept = now
    assert kept
    for folder in (wild, calm):
        process, _ = start(work, folder)
        process.join()
        assert process.exitcode == 0
    ended = work.at_end(wild)
    assert {key: ended[key] for key in kept} == kept
    assert work.result(wild) == work.result(calm)
