"""The engine against a tracer that marches from region to region, at sizes beyond exact arithmetic."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import nn

import transect
from oracle.marching import Marched, march
from oracle.modules import Described
from oracle.networks import generic, siblings
from oracle.steps import Case
from support.against import captured_siblings, flips_by_knot, path_of
from support.models import perceptron, points, residual_network


@settings(max_examples=5, deadline=None, derandomize=True, database=None)
@given(siblings(generic, 8))
def test_random_networks(family: list[Case]):
    for case, network in zip(family, captured_siblings(family), strict=True):
        found = transect.trace(network, path_of(case))
        _assert_same(found, _marched(Described(case.steps, case.start.ndim), found.path))


@pytest.mark.parametrize("bias", [True, False])
def test_a_perceptron(bias: bool):
    module = perceptron(16, 60, 60, 60, 10, bias=bias)
    found = transect.trace(transect.capture(module, torch.zeros(16)), transect.Path(2 * points(4, 16), closed=True))
    assert int(found.crossings.sum()) > 300
    _assert_same(found, _marched(module, found.path))


def test_a_residual_network():
    module = residual_network()
    network, path = transect.capture(module, torch.zeros(3, 8, 8)), transect.Path(0.7 * points(2, 3, 8, 8))
    marched = _marched(module, path)
    for budget in (1, 2_000_000):
        found = transect.trace(network, path, budget=budget)
        assert int(found.crossings) > 100
        _assert_same(found, marched)


def _marched(module: nn.Module, path: transect.Path) -> list[Marched]:
    return [march(module, start, end) for start, end in zip(path.starts, path.ends, strict=True)]


def _assert_same(found: transect.Trace, marched: list[Marched]) -> None:
    """The same patterns in the same order, at the same places, segment by segment; and at the anchors."""
    for segment, one in zip(found.segments, marched, strict=True):
        flips = flips_by_knot(segment)
        assert [set(flips[knot]) for knot in sorted(flips)] == one.flips()
        assert segment.t[1:-1].tolist() == pytest.approx(one.t, abs=1e-9)
        start = zip(segment.start_pattern, one.patterns[0], strict=True)
        assert all(torch.equal(pieces.bool(), active) for pieces, active in start)
    neighbours = list(zip(marched, marched[1:] + marched[:1], strict=True))[: None if found.path.closed else -1]
    changed = [any(not torch.equal(a, b) for a, b in zip(left.patterns[-1], right.patterns[0], strict=True))
               for left, right in neighbours]  # fmt: skip
    assert found.anchor_crossings == sum(changed)
