"""Networks of volumes (convolution, pooling and upsampling in three dimensions) against plain evaluation on a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import transect
from oracle import dense
from support.models import interpolated, points

POINTS = 4001
Change = tuple[int, int, int, int, int]
"""(cell of the grid, operation, unit, piece before, piece after)"""


def _max_pools() -> nn.Module:
    """Windows that overlap, are padded, dilated and cut off, one pool after the other."""
    return nn.Sequential(
        nn.Conv3d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool3d(3, 2, 1),
        nn.Conv3d(3, 3, 2), nn.BatchNorm3d(3), nn.LeakyReLU(0.1), nn.MaxPool3d(2, 1),
        nn.Flatten(), nn.Linear(3, 4),
    )  # fmt: skip


def _pool_of_dilated_windows() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(2, 4, 3, groups=2), nn.BatchNorm3d(4), nn.MaxPool3d((2, 2, 1), (1, 2, 2), ceil_mode=True),
        nn.ReLU(), nn.MaxPool3d((2, 1, 2), 1, (1, 0, 0), dilation=(2, 1, 1)), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip


def _up_and_down() -> nn.Module:
    """Averages down, a transposed convolution and trilinear upsampling up."""
    return nn.Sequential(
        nn.Conv3d(2, 3, 2), nn.ReLU(), nn.AvgPool3d(2, padding=1, count_include_pad=False),
        nn.ConvTranspose3d(3, 2, 2, stride=2), nn.BatchNorm3d(2), nn.Hardtanh(-0.5, 0.5),
        nn.Upsample(scale_factor=1.5, mode="trilinear"), nn.Conv3d(2, 2, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip


def _adaptive_pools() -> nn.Module:
    """Windows of unequal widths, of maxima and of averages."""
    return nn.Sequential(
        nn.Conv3d(2, 3, 2), nn.ReLU(), nn.AdaptiveMaxPool3d((3, 2, 3)),
        nn.Upsample(size=(4, 3, 4), mode="trilinear", align_corners=True), nn.Conv3d(3, 2, 2), nn.LeakyReLU(-0.5),
        nn.AdaptiveMaxPool3d(2), nn.ConvTranspose3d(2, 2, 2, padding=1, output_padding=0), nn.Flatten(),
        nn.LazyLinear(2),
    )  # fmt: skip


BUILDS: list[Callable[[], nn.Module]] = [_max_pools, _pool_of_dilated_windows, _up_and_down, _adaptive_pools]


@cache
def _traced(build: Callable[[], nn.Module], seed: int) -> tuple[nn.Module, transect.Trace]:
    """A network with random statistics, and its trace along two segments."""
    torch.manual_seed(seed)
    module = build().double().eval()
    anchors = 2 * points(3, 2, 5, 5, 5, seed=seed)
    with torch.no_grad():
        module(anchors)  # gives lazy layers their sizes
        for part in module.modules():
            if isinstance(part, nn.BatchNorm3d):
                part.running_mean.normal_(std=0.3)
                part.running_var.uniform_(0.5, 1.5)
                part.bias.normal_(std=0.3)
    return module, transect.trace(transect.capture(module, anchors[0]), transect.Path(anchors))


@pytest.fixture(
    params=[(build, seed) for build in BUILDS for seed in range(3)], ids=lambda p: f"{p[0].__name__}-{p[1]}"
)
def traced(request: pytest.FixtureRequest) -> tuple[nn.Module, transect.Trace]:
    return _traced(*request.param)


def test_changes_between_grid_points_are_the_flips_between_them(traced: tuple[nn.Module, transect.Trace]):
    module, found = traced
    for segment, start, end in zip(found.segments, found.path.starts, found.path.ends, strict=True):
        t, seen = _seen(module, start, end)
        assert _changes(seen) == _changes_of(segment, t)
        starts = [pieces[0].tolist() for pieces in seen]
        assert starts == [pieces.tolist() for pieces in segment.start_pattern]
    assert int(found.crossings.sum()) > 20


def test_outputs_are_on_straight_lines_between_the_knots(traced: tuple[nn.Module, transect.Trace]):
    module, found = traced
    for segment, start, end in zip(found.segments, found.path.starts, found.path.ends, strict=True):
        t, x = dense.grid(start, end, POINTS)
        with torch.no_grad():
            expected = module(x)
        torch.testing.assert_close(interpolated(segment, t), expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def test_the_comparison_sees_what_is_wrong():
    """A flip left out, one of another unit, one too many, one in the next cell, a wrong piece, and a wrong output."""
    module, found = _traced(_max_pools, 0)
    segment, start, end = found.segments[0], found.path.starts[0], found.path.ends[0]
    t, seen = _seen(module, start, end)
    right, flips = _changes(seen), segment.flips
    assert _changes_of(segment, t) == right
    columns = torch.stack([flips.knot, flips.operation, flips.unit, flips.before, flips.after])
    for row, shift in ((0, 5), (2, 1), (4, 1)):
        for place in range(0, len(flips), 7):
            wrong = columns.clone()
            wrong[row, place] += shift
            if int(wrong[0].max()) < len(segment.t):
                assert _changes_of(replace(segment, flips=type(flips)(*wrong)), t) != right
    for place in range(len(flips)):
        fewer = torch.cat([columns[:, :place], columns[:, place + 1 :]], 1)
        assert _changes_of(replace(segment, flips=type(flips)(*fewer)), t) != right
    moved = segment.outputs.clone()
    moved[len(moved) // 2] += 1e-9
    assert not torch.allclose(interpolated(replace(segment, outputs=moved), t), interpolated(segment, t), 0, 1e-12)


def _seen(module: nn.Module, start: Tensor, end: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Positions of the grid, and the pieces there, operation after operation."""
    t, x = dense.grid(start, end, POINTS)
    return t, dense.pieces(module, x)


def _changes(seen: list[Tensor]) -> set[Change]:
    """What differs between neighbouring points of the grid."""
    found: set[Change] = set()
    for operation, pieces in enumerate(seen):
        cell, unit = (pieces[1:] != pieces[:-1]).nonzero(as_tuple=True)
        columns = (cell, unit, pieces[cell, unit], pieces[cell + 1, unit])
        found |= {(c, operation, u, a, b) for c, u, a, b in zip(*(x.tolist() for x in columns), strict=True)}
    return found


def _changes_of(segment: Any, t: Tensor) -> set[Change]:
    """The flips of a trace, those of one unit in one cell of the grid joined: what is left of them, if anything."""
    flips, joined = segment.flips, {}
    cell = torch.searchsorted(t, segment.t[flips.knot], right=False) - 1
    columns = (cell, flips.operation, flips.unit, flips.before, flips.after)
    for c, operation, unit, before, after in zip(*(x.tolist() for x in columns), strict=True):
        first, last = joined.get((c, operation, unit), (before, before))
        joined[c, operation, unit] = (first, after if last == before else -1)  # -1: it was on another piece
    return {(*name, a, b) for name, (a, b) in joined.items() if a != b}
