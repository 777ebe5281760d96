"""A small exported program in a file, and the same file with something in it changed."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.export import Dim

SHAPE = (3, 8, 8)
PROGRAM, SAMPLE = "models/model.json", "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"


def convnet() -> nn.Module:
    """A convolution with batch norm, ReLU and max-pooling, and a linear layer: 144 and 36 bending units."""
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    return nn.Sequential(*layers).eval()


def save(model: nn.Module, path: Path, shape: tuple[int, ...] = SHAPE, dynamic: bool = True) -> Path:
    """Export and save a model; the test is left out where torch saves programs in the form it had before 2.8."""
    skip_without_archives()
    sizes = ({0: Dim.DYNAMIC},) if dynamic else None
    torch.export.save(torch.export.export(model, (torch.randn(3, *shape),), dynamic_shapes=sizes), path)
    return path


def skip_without_archives() -> None:
    if importlib.util.find_spec("torch.export.pt2_archive") is None:
        pytest.skip(f"torch {torch.__version__} saves programs in another form")


def changed(path: Path, record: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of an archive, one record of it changed."""
    copy = path.with_name(f"changed-{path.name}")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as written:
        for name in archive.namelist():
            contents = archive.read(name)
            written.writestr(name, change(contents) if name.endswith(record) else contents)
    return copy
