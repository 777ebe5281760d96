"""Random networks on polylines, against exact rational arithmetic: knots, outputs, anchors and the measures.

What one segment cannot show: anchors at which units are exactly zero, a segment through the origin, the crossings at
anchors; and measures compared with their exact values, within the rounding they state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from against import assert_same, captured_siblings
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import transect
from oracle.networks import Numbers, coarse, generic, polyline, repeating, siblings, uneven
from oracle.rational import Restriction, restrict
from oracle.steps import Case

# Exact crossings closer than this may rightly be one knot in floating point: such cases are not asked for.
APART = Fraction(1, 10**9)
OUTPUTS_RELATIVE = 1e-12


@pytest.mark.parametrize("numbers", [generic, coarse, repeating, uneven], ids=lambda numbers: numbers.__name__)
@settings(max_examples=5, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(data=st.data())
def test_polylines(numbers: Callable[[int], Numbers], data: st.DataObject):
    family = data.draw(siblings(numbers, 5))
    polylines = [polyline(case, numbers(seed)(case.start.shape)) for seed, case in enumerate(family)]
    for segments, network in zip(polylines, captured_siblings(family), strict=True):
        exact = [restrict(segment) for segment in segments]
        assume(all(right - left > APART for one in exact for left, right in pairwise(one.knots)))
        _assert_same_trace(transect.trace(network, _path(segments)), exact)


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
