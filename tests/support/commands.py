"""Commands of ``transect`` run in a test, and small networks in a file that they can be given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transect.cli import main as cli

NETWORKS = """
import torch
from torch import nn

def hinges():  # the sum of relu(x - 1/4), relu(x - 1/2) and relu(x - 3/4), x the first of two inputs
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0]] * 3))
        model[0].bias.copy_(-torch.tensor([0.25, 0.5, 0.75]))
        model[2].weight.copy_(torch.tensor([[1.0, 1.0, 1.0]]))
        model[2].bias.zero_()
    return model

def convnet(channels=3, hidden=4):
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, hidden, 3), nn.ReLU(), nn.Flatten(), nn.Linear(hidden * 36, 3)]
    return nn.Sequential(*layers)

def smooth():
    return nn.Sequential(nn.Linear(2, 3), nn.GELU())
"""


def write_inputs(folder: Path, module: str, points: Mapping[str, Sequence[float]], images: Sequence[str]) -> None:
    """The networks as ``module.py``, points as ``.npy`` files, and random images of 8 by 8 pixels."""
    (folder / f"{module}.py").write_text(NETWORKS)
    for name, point in points.items():
        np.save(folder / f"{name}.npy", np.array(point))
    random = np.random.default_rng(0)
    for name in images:
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name)


def run_command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, what was printed, and what was said of an error, on one line."""
    code = 0
    try:
        cli.main(list(words))
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr()
    return code, said.out, re.sub(r"[\s│╭╮╰╯─]+", " ", said.err)
