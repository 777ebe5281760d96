"""Tracing the oracles' cases with the engine, and comparing what both say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any
from unittest import mock

import numpy as np
import torch

import transect
from oracle.modules import Described
from oracle.rational import Flip, Restriction
from oracle.steps import Case
from transect import network as capturing

# Outputs at a knot, relative to the largest: rounding of the values, and of t times the slope.
OUTPUT_TOLERANCE = 1e-9


def module_of(case: Case) -> Described:
    return Described(case.steps, case.start.ndim)


def captured(case: Case) -> transect.Network:
    return transect.capture(module_of(case), case.start)


def captured_siblings(cases: Sequence[Case]) -> list[transect.Network]:
    """Networks of cases that share their architecture: exported once, since that takes most of a second."""
    with exported_once():
        return [captured(case) for case in cases]


@contextmanager
def exported_once() -> Iterator[None]:
    """Within, ``capture`` exports the first module it meets, and gives that program the weights of later ones."""
    program: Any = None
    export = capturing.export_model

    def export_or_reload(model: torch.nn.Module, example: torch.Tensor) -> Any:
        nonlocal program
        if program is None:
            program = export(model, example)
        for name, value in model.state_dict().items():
            program.state_dict[name] = value
        return program

    with mock.patch.object(capturing, "export_model", export_or_reload):
        yield


def path_of(case: Case) -> transect.Path:
    return transect.Path(np.stack([case.start, case.end]))


def flips_by_knot(segment: Any) -> dict[int, list[Flip]]:
    """(operation, unit, before, after) at every knot of a traced segment."""
    found = defaultdict(list)
    flips = segment.flips
    columns = (flips.knot, flips.operation, flips.unit, flips.before, flips.after)
    for knot, *flip in zip(*(column.tolist() for column in columns), strict=True):
        found[knot].append(tuple(flip))
    return dict(found)


def assert_same(segment: Any, exact: Restriction) -> None:
    """A traced segment and its exact restriction: the same patterns, knots within their stated error, same outputs."""
    assert_same_patterns(segment, exact)
    for found, error, true in zip(segment.t.tolist(), segment.t_error.tolist(), exact.knots, strict=True):
        assert abs(Fraction(found) - true) <= Fraction(error), f"knot {found!r} is off by {float(found - true):.2e}"
    outputs = torch.tensor([[float(value) for value in row] for row in exact.outputs], dtype=torch.float64)
    scale = float(outputs.abs().max())
    torch.testing.assert_close(segment.outputs, outputs, rtol=0, atol=OUTPUT_TOLERANCE * scale)


def assert_same_patterns(segment: Any, exact: Restriction) -> None:
    start = tuple(tuple(pieces.tolist()) for pieces in segment.start_pattern)
    assert start == exact.pieces[0].pattern
    flips = flips_by_knot(segment)
    found = [(float(segment.t[knot]), sorted(flips[knot])) for knot in sorted(flips)]
    expected = [(float(t), sorted(changed)) for t, changed in exact.flips]
    assert [changed for _, changed in found] == [changed for _, changed in expected], _difference(found, expected)
    assert len(segment.t) == len(expected) + 2, "a knot without flips, or ends that are no knots"


def _difference(found: list, expected: list) -> str:
    both = [changed for _, changed in found if changed in [other for _, other in expected]]
    only = [[entry for entry in side if entry[1] not in both] for side in (found, expected)]
    return f"only traced: {only[0]}; only exact: {only[1]}"
