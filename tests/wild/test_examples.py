"""Every example of ``examples/`` runs as it stands, and what it prints can be worked out otherwise."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_has_a_test_here():
    assert [path.stem for path in EXAMPLES.glob("*.py")] == ["count_and_measure"]


def test_count_and_measure(capsys: pytest.CaptureFixture[str]):
    known = runpy.run_path(str(EXAMPLES / "count_and_measure.py"))
    known["main"]()
    first, *_, crossings, deviation = capsys.readouterr().out.splitlines()
    assert crossings.startswith("crossings on 20 paths: wide ")
    assert deviation.startswith("mean_deviation on 20 paths: wide ")
    model, (start, end) = known["network"](32).double(), torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    with torch.no_grad():
        hidden = model[:2](start + torch.linspace(0, 1, 200001, dtype=torch.float64)[:, None] * (end - start))
        patterns = np.concatenate([(hidden > 0).numpy(), (model[2](hidden) > 0).numpy()], 1)
    regions = 1 + int((patterns[1:] != patterns[:-1]).any(1).sum())
    assert first.startswith(f"segment 0: {regions} regions")
