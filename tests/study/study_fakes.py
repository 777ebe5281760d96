"""Measuring functions that stand for the engine in tests of the sweep, and a small study for it to measure."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from transect.storage.tables import RUN_SCHEMA
from transect.study.config import DataConfig, PathConfig, StudyConfig, TrainConfig

LOG = "TRANSECT_TEST_LOG"
STUMBLE = "TRANSECT_TEST_STUMBLE"
_FIRST = RUN_SCHEMA.names.index("paths")

SMALL = StudyConfig(
    name="small",
    data=DataConfig(train_samples=60, test_samples=40),
    train=TrainConfig(epochs=6, batch_size=20, learning_rate=0.05, checkpoint_every=2),
    paths=PathConfig(paths=3, anchors=4),
    widths=(2, 3),
    seeds=(0, 1),
)


def fake_measure(model, paths, logit_std):
    """Numbers that depend on the network and on the paths; notes in the log that it was called."""
    width = model.linear1.out_features
    with Path(os.environ[LOG]).open("a") as log:
        log.write(f"{width}\n")
    if (stumble := os.environ.get(STUMBLE)) and int(stumble) == width:
        raise RuntimeError("stumbled")
    anchors = torch.stack([path.anchors for path in paths]).float().flatten(0, 1)
    with torch.no_grad():
        deviation = model(anchors).abs().mean().item()
    counts = {"paths": len(paths), "segments": sum(map(len, paths)), "unresolved": 0}
    values = dict.fromkeys(RUN_SCHEMA.names[_FIRST:], 0.5) | {"absolute_deviation": deviation}
    return values | {"normalised_deviation": deviation / logit_std} | counts


def slow_measure(model, paths, logit_std):
    """The same, but slow enough to be killed in the middle."""
    time.sleep(0.3)
    return fake_measure(model, paths, logit_std)
