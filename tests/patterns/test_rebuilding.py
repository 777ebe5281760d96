"""Patterns along a path, rebuilt from the first and the flips."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

import transect
from oracle.rational import restrict
from support.pattern_cases import CASES, PatternCase, random_case, traced, traced_case
from transect.errors import InvalidInput

NARROW = 1e-9  # at the middle of a region narrower than this, rounding may decide the pattern of a point


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_patterns_along_a_path_are_those_at_points_of_it(case: PatternCase):
    network, trace = traced(case)
    assert min(trace.crossings.tolist()) >= 5
    for number, segment in enumerate(trace.segments):
        rebuilt = list(segment.patterns())
        assert len(rebuilt) == len(segment.t) - 1
        t = number + (segment.t[1:] + segment.t[:-1]) / 2
        wide = segment.t.diff() > NARROW
        assert int(wide.sum()) > 5
        at_points = network.pattern(trace.path.evaluate(t))
        differ = [k for k, found in enumerate(rebuilt) if bool(wide[k]) and found != at_points[k]]
        assert not differ


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_pattern_of_any_region_is_the_one_met_on_the_way(case: PatternCase):
    _, trace = traced(case)
    for segment in trace.segments:
        for index, found in enumerate(segment.patterns()):
            assert segment.pattern(index) == found == segment.pattern(index - len(segment.t) + 1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_neighbours_differ_in_what_flips(case: PatternCase):
    _, trace = traced(case)
    for segment in trace.segments:
        patterns = list(segment.patterns())
        distances = [int(one.hamming(other)) for one, other in pairwise(patterns)]
        assert distances == torch.bincount(segment.flips.knot, minlength=len(segment.t) - 1)[1:].tolist()


@pytest.mark.parametrize("seed", range(8))
def test_patterns_are_those_of_rational_arithmetic(seed: int):
    case = random_case(seed)
    exact, (network, trace) = restrict(case), traced_case(case)
    start, end = torch.from_numpy(case.start), torch.from_numpy(case.end)
    for piece, rebuilt in zip(exact.pieces, trace.segments[0].patterns(), strict=True):
        assert tuple(tuple(rebuilt.pieces(k).tolist()) for k in range(len(rebuilt.units))) == piece.pattern
        if piece.high - piece.low > NARROW:
            assert network.pattern(torch.lerp(start, end, float(piece.low + piece.high) / 2)) == rebuilt


def test_a_region_of_the_path_says_where_it_is():
    _, trace = traced(CASES[0])
    segment = trace.segments[1]
    region = trace.region(1, 3)
    assert region.t == tuple(segment.t[3:5].tolist())
    assert torch.equal(region.start, segment.outputs[3])
    assert torch.equal(region.end, segment.outputs[4])
    torch.testing.assert_close(region.middle, trace.path.evaluate(1 + sum(region.t) / 2))
    torch.testing.assert_close(region.slope_per_length * trace.length[1], region.slope)
    assert region.length == pytest.approx(float(trace.length[1] * segment.t.diff()[3]))
    assert region.pattern == segment.pattern(3)
    assert trace.region(-3, -1).index == len(segment.t) - 2
    assert repr(region).startswith("PathRegion(3 of segment 1, t from ")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda trace: trace.region(3, 0), "expected a segment below 3, got 3"),
        (lambda trace: trace.region(0, 10_000), r"expected a region below \d+, got 10000"),
        (lambda trace: trace.region(0, 1.0), r"expected a region below \d+, got 1.0"),
        (lambda trace: trace.segments[0].pattern(-10_000), r"expected a region below \d+, got -10000"),
    ],
)
def test_regions_that_are_not_there(wrong, message: str):
    trace = transect.trace(CASES[0].module(), transect.Path(CASES[0].points(4)))
    with pytest.raises(InvalidInput, match=message):
        wrong(trace)


def test_regions_need_the_segments():
    trace = transect.trace(CASES[0].module(), transect.Path(CASES[0].points(2)), keep="measures")
    with pytest.raises(InvalidInput, match='keep="all"'):
        trace.region(0, 0)
