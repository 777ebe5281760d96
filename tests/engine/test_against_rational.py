from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import transect
from oracle.closed_forms import KNOWN, Known, affine, chain
from oracle.networks import cases, coarse, decimal, generic, large, moved_away, renewed, siblings, spread
from oracle.rational import restrict
from oracle.steps import Case
from support.against import assert_same, assert_same_within_rounding, captured, captured_siblings, path_of

BUDGETS = st.sampled_from([1, 300, 2_000_000])  # numbers a run may keep alive: how the rows are cut must not matter


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.case.name)
def test_known_restrictions(known: Known):
    trace = transect.trace(captured(known.case), path_of(known.case))
    assert_same(trace.segments[0], restrict(known.case))
    assert trace.crossings.tolist() == [len(known.flips)]
    assert trace.flips.tolist() == [sum(len(changed) for _, changed in known.flips)]


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(siblings(generic, 12), BUDGETS)
def test_random_networks(family: list[Case], budget: int):
    for case, network in zip(family, captured_siblings(family), strict=True):
        assert_same(transect.trace(network, path_of(case), budget=budget).segments[0], restrict(case))


@settings(max_examples=4, deadline=None, derandomize=True, database=None)
@given(siblings(coarse, 20), BUDGETS)
def test_networks_full_of_ties_and_zeros(family: list[Case], budget: int):
    for case, network in zip(family, captured_siblings(family), strict=True):
        assert_same(transect.trace(network, path_of(case), budget=budget).segments[0], restrict(case))


@settings(max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(siblings(decimal, 20) | siblings(spread, 20), BUDGETS)
def test_crossings_closer_than_rounding_are_merged_within_the_stated_error(family: list[Case], budget: int):
    for case, network in zip(family, captured_siblings(family), strict=True):
        trace = transect.trace(network, path_of(case), budget=budget)
        assert_same_within_rounding(case, trace.segments[0], restrict(case))


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(cases(generic), st.integers(0, 2**32 - 1), BUDGETS)
def test_several_segments_traced_together(case: Case, seed: int, budget: int):
    anchors = generic(seed)((4, *case.start.shape))
    trace = transect.trace(captured(case), transect.Path(anchors, closed=True), budget=budget)
    for segment, start, end in zip(trace.segments, anchors, np.roll(anchors, -1, 0), strict=True):
        assert_same(segment, restrict(Case(case.name, case.steps, start, end)))


@pytest.mark.parametrize("shape", [(16,), (2, 6, 6)], ids=str)
@pytest.mark.parametrize("budget", [1, 2_000_000])
def test_larger_networks(shape: tuple[int, ...], budget: int):
    case = large(shape, seed=1)
    exact = restrict(case)
    assert len(exact.pieces) > 20
    assert_same(transect.trace(captured(case), path_of(case), budget=budget).segments[0], exact)


def test_small_differences_of_large_numbers():
    """Far from the origin rounding grows a hundred-thousandfold, and the stated error with it."""
    first = large((16,), seed=2)
    family = [moved_away(renewed(first, generic(k)), 10.0**k) for k in range(6)]
    for case, network in zip(family, captured_siblings(family), strict=True):
        assert_same(transect.trace(network, path_of(case)).segments[0], restrict(case))


@pytest.mark.parametrize("exponent", range(30, 61, 3))
def test_two_crossings_at_a_small_distance(exponent: int):
    """Two crossings while their distance exceeds rounding, one knot with both flips when it cannot be told."""
    distance = 2.0**-exponent
    steps = chain(affine(0, [[1, 0], [1, 1]], [-0.5, -0.5]), affine(0, [[1, 1]]))
    case = Case("close", steps, np.array([0, -distance]), np.array([1, -distance]))
    exact = restrict(case)
    assert exact.knots[2] - exact.knots[1] == distance
    trace = transect.trace(captured(case), path_of(case))
    assert_same_within_rounding(case, trace.segments[0], exact)
    assert trace.flips.tolist() == [2]
    if distance > 1e-13:
        assert trace.crossings.tolist() == [2]
    if distance < 2.0**-53:
        assert trace.crossings.tolist() == [1]


@pytest.mark.parametrize("budget", [1, 2_000_000])
def test_a_small_value_before_a_steep_fall(budget: int):
    """0.005 up to the last hinge, then falling by 1e12 a unit of t: small beside the peak, yet true where it is."""
    hinges = np.arange(1, 13) / 24
    steps = chain(affine(0, np.ones((12, 1)), -hinges), affine(0, [[0] * 11 + [-1e12]], [0.005]), affine(0, [[1]]))
    case = Case("small, then steep", steps, np.array([0.0]), np.array([1.0]))
    trace = transect.trace(captured(case), path_of(case), budget=budget)
    assert_same_within_rounding(case, trace.segments[0], restrict(case))
    assert trace.segments[0].start_pattern[1].tolist() == [1]
