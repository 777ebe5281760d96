"""The engine against exact rational arithmetic, on hundreds of random small networks and segments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings

import transect
from oracle.closed_forms import KNOWN, Known
from oracle.modules import Described
from oracle.networks import coarse, generic, polylines
from oracle.rational import Flip, Restriction, restrict
from oracle.steps import Case

many = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Exact crossings closer than this may rightly be one knot in floating point: such cases are not asked for.
APART = Fraction(1, 10**9)
OUTPUTS_RELATIVE = 1e-12


@many
@given(polylines(generic))
def test_generic_networks_are_restricted_exactly(cases: list[Case]):
    exact = [restrict(case) for case in cases]
    assume(all(_is_well_separated(restriction) for restriction in exact))
    _compare(cases, exact)


@many
@given(polylines(coarse))
def test_networks_full_of_ties_are_restricted_exactly(cases: list[Case]):
    exact = [restrict(case) for case in cases]
    assume(all(_is_well_separated(restriction) for restriction in exact))
    _compare(cases, exact)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.case.name)
def test_known_networks_are_restricted_exactly(known: Known):
    _compare([known.case], [restrict(known.case)])


def _compare(cases: Sequence[Case], exact: Sequence[Restriction]) -> None:
    trace = _trace(cases)
    for segment, restriction in zip(trace.segments, exact, strict=True):
        _assert_same_knots(segment, restriction)
        _assert_same_outputs(segment, restriction)
    _assert_same_measures(trace, exact)


def _trace(cases: Sequence[Case]) -> transect.Trace:
    anchors = [cases[0].start, *(case.end for case in cases)]
    module = Described(cases[0].steps, cases[0].start.ndim)
    return transect.trace(module, transect.Path(torch.stack([torch.from_numpy(anchor) for anchor in anchors])))


def _is_well_separated(exact: Restriction) -> bool:
    return all(right - left > APART for left, right in pairwise(exact.knots))


def _assert_same_knots(segment: Any, exact: Restriction) -> None:
    """The same patterns in the same order, and every knot where the exact one is, within its stated error."""
    start = [tuple(pieces.tolist()) for pieces in segment.start_pattern]
    assert start == list(exact.pieces[0].pattern)
    assert _flips(segment) == {k: flips for k, (_, flips) in enumerate(exact.flips, start=1)}
    assert len(segment.t) == len(exact.knots)
    for t, error, knot in zip(segment.t.tolist(), segment.t_error.tolist(), exact.knots, strict=True):
        assert abs(Fraction(t) - knot) <= Fraction(error), f"{t} is stated within {error} of {float(knot)}"


def _flips(segment: Any) -> dict[int, set[Flip]]:
    """By knot."""
    found: dict[int, set[Flip]] = defaultdict(set)
    flips = segment.flips
    rows = torch.stack([flips.knot, flips.operation, flips.unit, flips.before, flips.after], 1)
    for knot, *flip in rows.tolist():
        assert tuple(flip) not in found[knot], "the same flip twice"
        found[knot].add(tuple(flip))
    return dict(found)


def _assert_same_outputs(segment: Any, exact: Restriction) -> None:
    expected = _floats(exact.outputs)
    torch.testing.assert_close(segment.outputs, expected, rtol=0, atol=OUTPUTS_RELATIVE * float(expected.abs().max()))


def _assert_same_measures(trace: transect.Trace, exact: Sequence[Restriction]) -> None:
    assert trace.crossings.tolist() == [len(one.flips) for one in exact]
    assert trace.flips.tolist() == [sum(len(flips) for _, flips in one.flips) for one in exact]
    assert trace.anchor_crossings == sum(
        left.pieces[-1].pattern != right.pieces[0].pattern for left, right in pairwise(exact)
    )
    length = torch.tensor([float(one.squared_length) for one in exact], dtype=torch.float64).sqrt().unsqueeze(1)
    _assert_within_rounding(
        trace, "absolute_deviation", _floats([one.mean_absolute_deviation for one in exact]) * length
    )
    _assert_within_rounding(trace, "total_variation", _floats([one.total_variation for one in exact]))
    for found, undecided, one in zip(trace.linear_crossings, trace.undecided_crossings, exact, strict=True):
        assert found <= one.linear_crossings <= found + undecided


def _assert_within_rounding(trace: transect.Trace, measure: str, expected: torch.Tensor) -> None:
    error = (trace.reduced[measure].value - expected).abs()
    assert (error <= trace.rounding(measure)).all(), f"{measure}: {error} exceeds {trace.rounding(measure)}"


def _floats(rows: Sequence[Sequence[Fraction]]) -> torch.Tensor:
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)
