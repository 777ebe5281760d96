"""The released code's deviation, against sums written out by hand and quadrature on a fine grid."""

from __future__ import annotations

import pytest
import torch

from transect.study.running.measuring import legacy_deviation

TENT = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([[0.0], [1.0], [0.0]])  # |f - a| is f: its integral is 1/2


def by_quadrature(t, outputs, upper_bound, regions):
    """Midpoint rule on each region; the bound as |c| + |b| t under the integral, c and b from the two ends."""
    total = torch.zeros(outputs.shape[1], dtype=torch.float64)
    chord = outputs[0] + t[:, None] * (outputs[-1] - outputs[0])
    gap = outputs - chord
    for r in range(regions):
        s = t[r] + (t[r + 1] - t[r]) * (torch.arange(20_000, dtype=torch.float64) + 0.5)[:, None] / 20_000
        slope = (gap[r + 1] - gap[r]) / (t[r + 1] - t[r])
        intercept = gap[r] - slope * t[r]
        values = intercept.abs() + slope.abs() * s if upper_bound else (intercept + slope * s).abs()
        total += values.mean(0) * (t[r + 1] - t[r])
    return total


def test_without_faults_it_is_the_deviation():
    assert legacy_deviation(*TENT, length=3.0, upper_bound=False, drop_last=False).tolist() == [1.5]


def test_the_bound_of_a_tent_by_hand():
    # first half: 0 + 2 t, integral 1/4; second half: 2 - 2 t, taken apart 2 * 1/2 + 2 * (1 - 1/4) / 2 = 7/4
    assert legacy_deviation(*TENT, length=1.0, upper_bound=True, drop_last=False).tolist() == [2.0]


def test_the_last_region_is_left_out():
    assert legacy_deviation(*TENT, length=1.0, upper_bound=False, drop_last=True).tolist() == [0.25]
    assert legacy_deviation(*TENT, length=1.0, upper_bound=True, drop_last=True).tolist() == [0.25]


@pytest.mark.parametrize("upper_bound", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_random_pieces_against_quadrature(upper_bound, drop_last):
    generator = torch.Generator().manual_seed(0)
    inner = torch.rand(30, generator=generator, dtype=torch.float64).sort().values
    t = torch.cat([torch.zeros(1), inner, torch.ones(1)]).double()
    outputs = torch.randn(32, 3, generator=generator, dtype=torch.float64)
    found = legacy_deviation(t, outputs, 2.0, upper_bound, drop_last)
    expected = 2.0 * by_quadrature(t, outputs, upper_bound, 30 if drop_last else 31)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_the_bound_is_one():
    generator = torch.Generator().manual_seed(1)
    t = torch.linspace(0, 1, 50, dtype=torch.float64)
    outputs = torch.randn(50, 4, generator=generator, dtype=torch.float64).cumsum(0)
    right = legacy_deviation(t, outputs, 1.0, False, False)
    assert bool((legacy_deviation(t, outputs, 1.0, True, False) > right).all())
