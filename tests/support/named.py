"""Tracing what rounding may not decide: the result is right, or the trace names what it is not sure of."""

from __future__ import annotations

import warnings
from fractions import Fraction
from itertools import pairwise

import torch
from torch import nn

import transect
from oracle.rational import Restriction, restrict
from oracle.steps import Case
from oracle.undecided import assert_same_on_intervals
from support.against import assert_same_patterns, module_of, path_of
from transect.errors import UnresolvedWarning

DTYPES = [torch.float64, torch.float32]


def traced(network: nn.Module | transect.Network, path: transect.Path, **options: object) -> transect.Trace:
    """A trace; what is unresolved comes with a warning, and no such warning without it."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = transect.trace(network, path, **options)
    assert bool(found.unresolved) == any(issubclass(one.category, UnresolvedWarning) for one in seen)
    return found


def right_or_named(case: Case, **options: object) -> transect.Trace:
    """The trace of a case: as the exact one, but for the units it names."""
    exact = restrict(case)
    found = traced(transect.capture(module_of(case), case.start), path_of(case), **options)
    assert_same_on_intervals(found.segments[0], exact, named(found))
    segment, widest = found.segments[0], 3 * float(found.segments[0].t_error.max())
    if not found.unresolved and all(float(right - left) > widest for left, right in pairwise(exact.knots)):
        assert_same_patterns(segment, exact)
    stated = found.rounding("absolute_deviation")[0] / found.length[0]  # what an output may be off by, and more
    expected = [[float(value) for value in _at(exact, Fraction(t))] for t in segment.t.tolist()]
    stated = 4 * stated if found.unresolved else stated  # many units together are moved to their thresholds
    assert bool(((segment.outputs - torch.tensor(expected, dtype=torch.float64)).abs() <= stated).all())
    return found


def _at(exact: Restriction, t: Fraction) -> list[Fraction]:
    return next(piece for piece in exact.pieces if t <= piece.high).output.at(t)


def named(found: transect.Trace) -> set[tuple[int, int]]:
    """(operation, unit) of every place the trace calls unresolved."""
    return {(found.operations.index(place.operation), place.unit) for place in found.unresolved}
