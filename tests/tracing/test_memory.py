"""Memory stays bounded where rows written at once would not fit."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

import transect
from transect.study.models.architectures import resnet18

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MIB = 2**20


def _resident(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not CLEAR.exists(), reason="reads the peak memory from /proc, which only Linux has")
def test_the_first_relu_between_noise_images_is_cut_before_its_rows_are_written():
    torch.manual_seed(0)
    model = resnet18(16, (3, 32, 32), 10, batch_norm=True).eval()
    network = transect.capture(model, torch.zeros(3, 32, 32))
    path = transect.Path(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    before = _resident("VmRSS")
    CLEAR.write_text("5")  # the peak counts from here
    runs = list(itertools.islice(transect.stream(network, path, outputs=[0]), 4))
    peak = _resident("VmHWM") - before
    with torch.no_grad():
        start, end = model.get_submodule("stem")(path.anchors).flatten(1) > 0
    rows_at_once = int((start != end).sum()) * network.units[0] * 8
    assert len(runs) == 4
    assert rows_at_once > 800 * MIB, "the case has become too small to show anything"
    assert peak < 500 * MIB
