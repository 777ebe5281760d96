"""Functions that jump: the intervals of what says that it converged hold the truth."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import transect

_BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
if _BENCHMARKS not in sys.path:
    sys.path.append(_BENCHMARKS)
jumps = importlib.import_module("jumps")

LINE = transect.Path(torch.tensor([[0.0], [1.0]], dtype=torch.float64))
TRIALS, LEAST = 20, 0.85  # of 20 intervals of 99 %, four miss once in 24,000 times
SHORT = ("1 jump", "1 jump, piecewise affine, 3 outputs", "8 jumps, near samples", "8 jumps, smooth, 3 outputs")


@pytest.mark.parametrize("step", [0.5, 0.25 + 1e-12, 1 / 3, 0.9371, 1e-9, 1 - 1e-9])
def test_one_step_in_closed_form(step: float):
    found = transect.estimate(lambda x: (x > step).double(), LINE)
    low, high = found.interval("absolute_deviation")[0, 0].tolist()
    assert low <= (step**2 + (1 - step) ** 2) / 2 <= high
    assert found.converged.all()
    assert high - low < 0.02


def test_steps_that_lie_alike_add_up():
    """Every tooth of the staircase is cut off on the same side: root sums of squares would be too small."""
    found = transect.estimate(lambda x: torch.floor(8 * x), LINE, rtol=2e-2, max_samples=4097)
    low, high = found.interval("absolute_deviation")[0, 0].tolist()
    assert found.converged.all()
    assert low <= 0.5 <= high


@pytest.mark.parametrize(
    "case", [case if case in SHORT else pytest.param(case, marks=pytest.mark.slow) for case in jumps.CASES]
)
def test_intervals_hold_the_truth(case: str):
    found = jumps.simulated(case, TRIALS, rtol=3e-2, seed=1, max_samples=8193)
    assert found["converged"] > TRIALS / 2
    assert all(found[measure] >= LEAST for measure in jumps.MEASURES), found


def test_the_truth_of_the_simulation_is_that_of_a_trace():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 9), nn.ReLU(), nn.Linear(9, 2)).double().requires_grad_(False)
    none = jumps.Jumping(lambda t: model(t.unsqueeze(1)), torch.empty(0).double(), torch.zeros(1, 2).double())
    trace = transect.trace(model, LINE)
    for name, truth in none.truth().items():
        torch.testing.assert_close(truth, getattr(trace, name)()[0], rtol=1e-3, atol=1e-9)  # kinks between its points


def test_a_jump_in_one_output_of_a_module_that_cannot_be_captured():
    class Classes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([torch.sin(3 * x), torch.sign(x - 0.3), (x * 3).round()], 1)

    found = transect.estimate(Classes().double(), LINE, rtol=3e-2)
    low, high = found.interval("absolute_deviation")[0].unbind(1)
    step = torch.tensor(2 * (0.3**2 + 0.7**2) / 2, dtype=torch.float64)  # of height 2 at 0.3
    assert low[1] <= step <= high[1]
    assert low[2] <= 0.25 <= high[2]  # the mean of |round(3 x) - 3 x|
