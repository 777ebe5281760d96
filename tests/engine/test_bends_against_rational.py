"""All bending operations, in the engine, against exact rational arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import transect
from oracle.closed_bends import KNOWN_BENDS, KnownBend
from oracle.mixed import mixed
from oracle.networks import Numbers, coarse, generic, repeating, siblings, uneven
from oracle.rational import restrict
from oracle.undecided import assert_same_on_intervals, undecidable
from support.against import assert_same, exported_once, path_of
from support.random_networks import APART, BUDGETS, Tally, captured, run_batch
from transect.errors import UnresolvedWarning


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("known", KNOWN_BENDS, ids=lambda known: known.case.name)
def test_known_bends(known: KnownBend, budget: int):
    trace = transect.trace(captured(known.case), path_of(known.case), budget=budget)
    assert_same(trace.segments[0], restrict(known.case))
    assert trace.crossings.tolist() == [len(known.flips)]
    assert trace.flips.tolist() == [sum(len(changed) for _, changed in known.flips)]


@pytest.mark.parametrize("numbers", [generic, coarse, repeating, uneven], ids=lambda numbers: numbers.__name__)
@settings(max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(data=st.data())
def test_random_networks_of_mixed_steps(numbers: Callable[[int], Numbers], data: st.DataObject):
    family = data.draw(siblings(numbers, 10, mixed))
    budget = data.draw(st.sampled_from(BUDGETS))
    exact = [restrict(case) for case in family]
    assume(all(right - left > APART for one in exact for left, right in pairwise(one.knots)))
    with exported_once():
        captures = [captured(case) for case in family]
    for case, one, network in zip(family, exact, captures, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnresolvedWarning)
            trace = transect.trace(network, path_of(case), budget=budget)
        if trace.unresolved:  # what is named need not be right; all the rest must be
            named = {(trace.operations.index(entry.operation), entry.unit) for entry in trace.unresolved}
            assert_same_on_intervals(trace.segments[0], one, undecidable(case, one) | named)
        else:
            assert_same(trace.segments[0], one)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_some_of_many_random_networks(dtype: torch.dtype):
    """What ``random_networks.py`` does for twenty thousand pairs in each dtype."""
    total = Tally()
    for batch in range(12):
        total.add(run_batch(0, batch, most=6 if dtype == torch.float64 else 4, dtype=dtype))
    assert not total.failures, total.failures[0]
    assert total.flips > 3 * total.pairs
    assert total.strict > total.pairs / 2 or dtype == torch.float32
    assert total.unresolved < total.pairs / 9
    assert total.wide < total.pairs / 9
