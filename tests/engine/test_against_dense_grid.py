"""The engine against plain evaluation on a dense grid: patterns, counts, outputs and integrals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import transect
from oracle import dense
from support.models import interpolated, perceptron, points, residual_network, traced_once

POINTS = 2001
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "perceptron": (lambda: perceptron(12, 40, 40, 5), 2 * points(4, 12)),
    "narrow and deep": (lambda: perceptron(3, *[9] * 10, 2), 5 * points(4, 3, seed=1)),
    "residual network": (residual_network, points(3, 3, 8, 8, seed=2)),
}


_traced = traced_once(CASES)


@pytest.fixture(params=CASES)
def traced(request: pytest.FixtureRequest) -> tuple[nn.Module, transect.Trace]:
    return _traced(request.param)


def test_patterns_at_every_grid_point_are_those_of_the_region_it_lies_in(traced: tuple[nn.Module, transect.Trace]):
    module, found = traced
    for segment, start, end in _segments(found):
        t, x = dense.grid(start, end, POINTS)
        inside = (t.unsqueeze(1) - segment.t).abs().amin(1) > 1e-9  # between the knots, where patterns are defined
        region = torch.searchsorted(segment.t, t[inside]) - 1
        for operation, z in enumerate(dense.preactivations(module, x[inside])):
            expected = _patterns(segment, operation)[region]
            assert torch.equal(expected, z > 0), f"operation {operation}"


def test_sign_changes_on_the_grid_are_flips_and_where_regions_are_wide_all_of_them(
    traced: tuple[nn.Module, transect.Trace],
):
    module, found = traced
    for segment, start, end in _segments(found):
        t, x = dense.grid(start, end, POINTS)
        seen = [((z[1:] > 0) != (z[:-1] > 0)).nonzero() for z in dense.preactivations(module, x)]
        flips = segment.flips
        for operation, changes in enumerate(seen):
            mine = flips.operation == operation
            cell = torch.searchsorted(t, segment.t[flips.knot[mine]]) - 1
            key, size = cell * 10**6 + flips.unit[mine], len(changes)
            pairs, count = key.unique(return_counts=True)
            odd = pairs[count % 2 == 1]  # an even number of flips within one cell of the grid shows nothing
            assert torch.equal(odd, changes[:, 0] * 10**6 + changes[:, 1])
            assert size <= int(mine.sum())


def test_outputs_between_the_knots_are_on_straight_lines(traced: tuple[nn.Module, transect.Trace]):
    module, found = traced
    for segment, start, end in _segments(found):
        t, x = dense.grid(start, end, POINTS)
        with torch.no_grad():
            expected = module(x)
        scale = float(expected.abs().max())
        torch.testing.assert_close(interpolated(segment, t), expected, rtol=0, atol=1e-12 * scale)


def test_deviation_and_variation_are_those_of_the_grid(traced: tuple[nn.Module, transect.Trace]):
    module, found = traced
    mean, total = found.mean_deviation(), found.total_variation()
    for index, (_, start, end) in enumerate(_segments(found)):
        deviation = dense.mean_absolute_deviation(module, start, end, POINTS)
        torch.testing.assert_close(mean[index], deviation, rtol=1e-4, atol=0)
        variation = dense.total_variation(module, start, end, POINTS)
        assert bool((variation <= total[index] * (1 + 1e-12)).all())
        torch.testing.assert_close(total[index], variation, rtol=1e-2, atol=0)


def _segments(found: transect.Trace) -> list[tuple[Any, Tensor, Tensor]]:
    return list(zip(found.segments, found.path.starts, found.path.ends, strict=True))


def _patterns(segment: Any, operation: int) -> Tensor:
    """Whether each unit is active on each open interval between neighbouring knots, ``(K - 1, units)``."""
    flips = segment.flips
    mine = flips.operation == operation
    change = torch.zeros(len(segment.t) - 1, len(segment.start_pattern[operation]), dtype=torch.int64)
    change[0] = segment.start_pattern[operation]
    change[flips.knot[mine], flips.unit[mine]] += flips.after[mine] - flips.before[mine]
    pieces = change.cumsum(0)
    assert bool(((pieces == 0) | (pieces == 1)).all())
    return pieces.bool()
