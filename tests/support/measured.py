"""Small models and paths that the tests of measuring share; worker processes import it too."""

from __future__ import annotations

import os
import signal
from pathlib import Path as File

import torch
from torch import nn

from transect import Path

INPUTS = 6
APART = ("seconds",)  # the one column that differs from call to call


def mlp(width: int = 12, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(INPUTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)
    ).eval()


def convolutional() -> nn.Sequential:
    torch.manual_seed(5)
    model = nn.Sequential(
        nn.Unflatten(1, (1, INPUTS)), nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2),
        nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip
    with torch.no_grad():
        model[2].running_mean.uniform_(-0.3, 0.3)
        model[2].running_var.uniform_(0.5, 1.5)
    return model.eval()


def smooth() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Linear(8, 2)).eval()


def path(seed: int, anchors: int = 4, closed: bool = True, inputs: int = INPUTS) -> Path:
    generator = torch.Generator().manual_seed(seed)
    return Path(torch.randn(anchors, inputs, generator=generator, dtype=torch.float64), closed=closed)


def paths(count: int) -> list[Path]:
    """Open and closed ones of several lengths."""
    return [path(seed, 3 + seed % 3, closed=bool(seed % 2)) for seed in range(count)]


class Marked(nn.Module):
    """Leaves a mark, then does what is asked at most so many times: ``"die"`` or ``"raise"``. Cannot be captured."""

    def __init__(self, folder: File, deed: str, times: int) -> None:
        super().__init__()
        self.linear, self.folder, self.deed, self.times = nn.Linear(INPUTS, 2), folder, deed, times

    def forward(self, x):
        marks = len(list(self.folder.iterdir()))
        if os.environ.get("TRANSECT_TEST_PARENT") != str(os.getpid()) and marks < self.times:
            (self.folder / str(marks)).touch()
            if self.deed == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            raise LookupError("seven is missing")
        return torch.tanh(self.linear(x))
