"""Random networks on polylines, against exact rational arithmetic: knots, outputs, anchors and the measures.

What one segment cannot show: anchors at which units are exactly zero, a segment through the origin, the crossings at
anchors; and measures compared with their exact values, within the rounding they state.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import transect
from oracle.closed_forms import affine, chain
from oracle.networks import Numbers, coarse, generic, polyline, repeating, siblings, uneven
from oracle.rational import Restriction, restrict
from oracle.steps import Case
from support.against import assert_same, captured, captured_siblings, path_of
from transect.errors import UnresolvedWarning

# Exact crossings closer than this may rightly be one knot in floating point: such cases are not asked for.
APART = Fraction(1, 10**9)
OUTPUTS_RELATIVE = 1e-12


@pytest.mark.parametrize("numbers", [generic, coarse, repeating, uneven], ids=lambda numbers: numbers.__name__)
@settings(max_examples=2, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(data=st.data())
def test_polylines(numbers: Callable[[int], Numbers], data: st.DataObject):
    family = data.draw(siblings(numbers, 5))
    polylines = [polyline(case, numbers(seed)(case.start.shape)) for seed, case in enumerate(family)]
    for segments, network in zip(polylines, captured_siblings(family), strict=True):
        exact = [restrict(segment) for segment in segments]
        assume(all(right - left > APART for one in exact for left, right in pairwise(one.knots)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnresolvedWarning)
            trace = transect.trace(network, _path(segments))
        assume(not trace.unresolved)  # rounding cannot decide such a case, and the trace says so
        _assert_same_trace(trace, exact)
        if numbers is not uneven:  # there slopes are so steep that the rounding of t, too, bends the outputs
            _assert_same_linear_crossings(trace, exact)


# Layers 1-3-1: weights and biases of the first, of the second, and the two ends. The second layer's unit is zero, or
# crosses zero, exactly at a knot of the first, where floats are off by a few roundings.
ZERO_UP_TO_ROUNDING = {
    "rises through zero at a knot": ([-2, 2, 3], [1, 2, 0], [-3, 3, 2], -3, -1, 4),
    "rises from zero at a knot": ([-1, -2, -1], [2, 1, 0], [-2, 1, -3], 3, -3, 6),
    "rises through zero at the second knot": ([-2, -3, 3], [-2, 3, -2], [0, -3, 2], 3, -2, 9),
    "zero until a knot": ([-3, -3, -1], [0, 1, -3], [3, -3, 1], 3, -1, 10),
    "zero from a knot on": ([2, 2, 3], [-3, 2, -3], [3, 0, -2], 3, -2, 8),
}


@pytest.mark.parametrize("name", ZERO_UP_TO_ROUNDING)
def test_units_that_are_zero_at_a_knot_up_to_rounding(name: str):
    weight, bias, second, second_bias, start, end = ZERO_UP_TO_ROUNDING[name]
    layers = affine(0, [[w] for w in weight], bias), affine(0, [second], [second_bias])
    case = Case(name, chain(*layers, affine(0, [[1]])), np.array([float(start)]), np.array([float(end)]))
    assert_same(transect.trace(captured(case), path_of(case)).segments[0], restrict(case))


def _assert_same_trace(trace: transect.Trace, exact: Sequence[Restriction]) -> None:
    for segment, one in zip(trace.segments, exact, strict=True):
        assert_same(segment, one)
        outputs = _floats(one.outputs)
        atol = OUTPUTS_RELATIVE * float(outputs.abs().max())
        torch.testing.assert_close(segment.outputs, outputs, rtol=0, atol=atol)
    _assert_same_counts(trace, exact)
    _assert_same_measures(trace, exact)


def _path(cases: Sequence[Case]) -> transect.Path:
    return transect.Path(np.stack([cases[0].start, *(case.end for case in cases)]))


def _assert_same_counts(trace: transect.Trace, exact: Sequence[Restriction]) -> None:
    assert trace.crossings.tolist() == [len(one.flips) for one in exact]
    assert trace.flips.tolist() == [sum(len(changed) for _, changed in one.flips) for one in exact]
    changed = [left.pieces[-1].pattern != right.pieces[0].pattern for left, right in pairwise(exact)]
    assert trace.anchor_crossings == sum(changed)


def _assert_same_linear_crossings(trace: transect.Trace, exact: Sequence[Restriction]) -> None:
    for found, undecided, one in zip(trace.linear_crossings, trace.undecided_crossings, exact, strict=True):
        assert found <= one.linear_crossings <= found + undecided


def _assert_same_measures(trace: transect.Trace, exact: Sequence[Restriction]) -> None:
    length = _floats([[one.squared_length] for one in exact]).sqrt()
    torch.testing.assert_close(trace.length, length.squeeze(1), rtol=1e-14, atol=0)
    _assert_within_rounding(
        trace, "absolute_deviation", length * _floats([one.mean_absolute_deviation for one in exact])
    )
    _assert_within_rounding(trace, "total_variation", _floats([one.total_variation for one in exact]))


def _assert_within_rounding(trace: transect.Trace, measure: str, expected: torch.Tensor) -> None:
    error, stated = (trace.reduced[measure].value - expected).abs(), trace.rounding(measure)
    assert (error <= stated).all(), f"{measure} is off by {error}, stated {stated}"


def _floats(rows: Sequence[Sequence[Fraction]]) -> torch.Tensor:
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)
