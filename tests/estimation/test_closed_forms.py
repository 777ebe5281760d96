from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import transect


def _line(low: float, high: float) -> transect.Path:
    return transect.Path([[float(low)], [float(high)]])


def _inside(estimate: transect.Estimate, measure: str, truth: float) -> bool:
    low, high = estimate.interval(measure).reshape(-1).tolist()
    return low <= truth <= high


def _absolute() -> nn.Module:
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        for parameter, value in zip(
            model.parameters(), ([[1.0], [-1.0]], [0.0, 0.0], [[1.0, 1.0]], [0.0]), strict=True
        ):
            parameter.copy_(torch.tensor(value))
    return model.double()


def test_absolute_value_with_its_kink_on_a_sample_is_exact():
    found = transect.estimate(_absolute(), _line(-1, 3))
    assert found.flips_lower.tolist() == [2]
    assert found.flips_by_operation.tolist() == [[2]]
    assert found.absolute_deviation().item() == pytest.approx(3, abs=1e-12)
    assert found.total_variation().item() == pytest.approx(4, abs=1e-12)


@pytest.mark.parametrize("kink", [0.3, 0.47, 0.501, 0.77])
def test_a_kink_between_samples_lies_in_the_intervals(kink: float):
    found = transect.estimate(lambda x: (x - kink).abs(), _line(0, 1), rtol=1e-3)
    depth = torch.lerp(torch.tensor(kink), torch.tensor(1 - kink), kink).item()  # of the affine function at the kink
    assert _inside(found, "absolute_deviation", depth / 2)
    assert _inside(found, "deviation_norm", depth / 2)
    assert _inside(found, "total_variation", 1)
    assert _inside(found, "arc_length", 1)
    assert _inside(found, "excess_variation", 1 - abs(1 - 2 * kink))
    assert found.absolute_deviation().item() == pytest.approx(depth / 2, rel=2e-3)


@pytest.mark.parametrize(
    ("function", "end", "deviation", "variation"),
    [(torch.sin, math.pi, 2, 2), (torch.sin, 2 * math.pi, 4, 4), (torch.square, 1, 1 / 6, 1)],
)
def test_smooth_functions(function: Callable[[Tensor], Tensor], end: float, deviation: float, variation: float):
    found = transect.estimate(function, _line(0, end))
    assert found.absolute_deviation().item() == pytest.approx(deviation, rel=1e-3)
    assert _inside(found, "absolute_deviation", deviation)
    assert _inside(found, "total_variation", variation)
    assert found.mean_deviation().item() == pytest.approx(deviation / end, rel=1e-3)
    assert bool(found.converged.all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_affine_function_stops_at_once_though_its_deviation_is_zero(dtype: torch.dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3)).to(dtype)
    path = transect.Path(torch.randn(4, 5, dtype=torch.float64))
    found = transect.estimate(model, path)
    assert found.samples.tolist() == [17] * 3
    assert bool(found.converged.all())
    assert found.flips.tolist() == [0] * 3
    assert found.dtype == dtype
    assert bool((found.interval("absolute_deviation")[..., 0] == 0).all())
    assert bool((found.absolute_deviation() <= found.interval("absolute_deviation")[..., 1]).all())


def _spike(at: float, half_width: float) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.relu(1 - (x - at).abs() / half_width)


def test_a_spike_that_two_grids_miss_is_met_by_the_third():
    """Grids of 4 and 8 intervals see nothing and agree; that of 16 does not agree with them."""
    found = transect.estimate(_spike(5 / 16, 1 / 20), _line(0, 1))
    assert found.samples.item() > 17
    assert found.absolute_deviation().item() == pytest.approx(1 / 20, rel=2e-2)


def test_a_spike_between_the_samples_of_every_grid_is_not_seen():
    """What no estimate can promise; docs/estimate.md says so."""
    found = transect.estimate(_spike(11 / 32, 1 / 64), _line(0, 1))
    assert found.samples.item() == 17
    assert found.absolute_deviation().item() == 0


def test_an_absolute_tolerance_stops_what_a_relative_one_would_not():
    def small(x: Tensor) -> Tensor:
        return 1e-3 * torch.sin(40 * x)

    relative, absolute = (transect.estimate(small, _line(0, 1), rtol=1e-6, atol=atol) for atol in (0, 1e-2))
    assert relative.samples.item() > absolute.samples.item() == 17


def test_outputs_that_hardly_deviate_do_not_ask_for_more_samples():
    def both(x: Tensor) -> Tensor:
        return torch.cat([torch.sin(x), 1e-6 * torch.sin(50 * x)], 1)

    together = transect.estimate(both, _line(0, 3))
    alone = transect.estimate(both, _line(0, 3), outputs=[1])
    assert together.samples.item() < alone.samples.item()
