"""Measuring functions that stand for the engine in tests of the sweep, and a small study for it to measure."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from transect.study.config import StudyConfig

LOG = "TRANSECT_TEST_LOG"
STUMBLE = "TRANSECT_TEST_STUMBLE"

GIVEN = {
    "name": "small",
    "data": {"train_samples": 60, "test_samples": 40, "label_noise": 0.2},
    "model": {"width": [2, 3]},
    "train": {"epochs": 6, "batch_size": 20, "learning_rate": 0.05, "checkpoint_every": 2, "seed": [0, 1]},
    "paths": {"paths": 3, "anchors": 4, "split": ["train", "test"]},
}
SMALL = StudyConfig.parse(GIVEN)
TABLES = [f"{name}.{kind}" for name in ("table", "paths") for kind in ("parquet", "csv")]


def same_tables(one: Path, other: Path) -> bool:
    """Whether two studies have the same tables, byte for byte; timings differ."""
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in TABLES)


def fake_measure(model, paths, how, device):
    """Numbers that depend on the network and on each path; a note in the log that it was called."""
    width = model.linear1.out_features
    with Path(os.environ[LOG]).open("a") as log:
        log.write(f"{width}\n")
    if (stumble := os.environ.get(STUMBLE)) and int(stumble) == width:
        raise RuntimeError("stumbled")
    return [_row(model, path) for path in paths]


def _row(model, path):
    with torch.no_grad():
        deviation = model(path.anchors.float()).abs().mean().item()
    return {"segments": len(path), "path_length": float(path.length), "absolute_deviation": deviation}


def slow_measure(model, paths, how, device):
    """The same, but slow enough to be killed in the middle."""
    time.sleep(0.3)
    return fake_measure(model, paths, how, device)
