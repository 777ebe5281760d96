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
from oracle.dense import preactivations
from oracle.modules import Described
from oracle.rational import Flip, Restriction
from oracle.steps import Case
from transect.networks import network as capturing

# Outputs at a knot, relative to the largest: rounding of the values, and of t times the slope.
OUTPUT_TOLERANCE = 1e-9
# Positions closer than this on [0, 1] are one (docs/method.md).
POSITION = Fraction(64 * 2.0**-52)
# A pre-activation smaller than this, relative to the largest of its operation, is made of rounding errors only.
ROUNDING = 1e-15


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


def assert_same_within_rounding(case: Case, segment: Any, exact: Restriction) -> None:
    """For cases whose crossings lie closer than rounding can tell apart: every unit's flips, within their stated error.

    What may differ: crossings merged into one knot, or into an end of the segment; a pair of crossings of one unit at
    one knot, which cancel; and units that are nothing but rounding over a whole piece, about which floats can say
    nothing.
    """
    knots = [(Fraction(t) - Fraction(e), Fraction(t) + Fraction(e))
             for t, e in zip(segment.t.tolist(), segment.t_error.tolist(), strict=True)]  # fmt: skip
    found = defaultdict(list)
    for knot, flips in sorted(flips_by_knot(segment).items()):
        for operation, unit, *pieces in flips:
            found[operation, unit].append((knot, *pieces))
    expected = exact.flips_of_units()
    for name in (found.keys() | expected.keys()) - _undecidable(case, exact):
        left = _unmatched(found[name], expected.get(name, []), knots)
        assert left is None, f"operation {name[0]}, unit {name[1]}: {left}"


def _unmatched(found: list, expected: list, knots: list) -> str | None:
    """None if the traced flips are the exact ones, in order, after leaving out what one knot, or an end, may hide."""
    waiting = list(expected)
    for knot, *pieces in found:
        while waiting and not (list(waiting[0][1:]) == pieces and _within(waiting[0][0], knots[knot])):
            if not (hidden := _hidden(waiting, knots)):
                return f"traced flip at knot {knot}, exact {[(float(t), *rest) for t, *rest in waiting[:3]]}"
            waiting = waiting[hidden:]
        if not waiting:
            return f"flip at knot {knot} that does not exist"
        waiting = waiting[1:]
    while waiting and (hidden := _hidden(waiting, knots)):
        waiting = waiting[hidden:]
    return f"not traced: {[(float(t), *rest) for t, *rest in waiting[:3]]}" if waiting else None


def _hidden(waiting: list, knots: list) -> int:
    """How many of the next exact flips leave no trace: one at an end, or two at one knot."""
    first = waiting[0][0]
    if min(first, 1 - first) <= POSITION or _within(first, knots[0]) or _within(first, knots[-1]):
        return 1
    pair = [t for t, *_ in waiting[:2]]
    return 2 if len(pair) == 2 and any(_within(pair[0], knot) and _within(pair[1], knot) for knot in knots) else 0


def _within(t: Fraction, knot: tuple[Fraction, Fraction]) -> bool:
    return knot[0] <= t <= knot[1]


def _undecidable(case: Case, exact: Restriction) -> set[tuple[int, int]]:
    """Units within rounding of zero in the middle of some piece, compared with the largest of their operation."""
    middles = [float(piece.low + piece.high) / 2 for piece in exact.pieces]
    start, end = torch.from_numpy(case.start), torch.from_numpy(case.end)
    z = preactivations(module_of(case), torch.stack([start + t * (end - start) for t in middles]))
    return {(k, unit) for k, values in enumerate(z)
            for unit in (values.abs() <= ROUNDING * values.abs().max()).any(0).argwhere()[:, 0].tolist()}  # fmt: skip


def _difference(found: list, expected: list) -> str:
    both = [changed for _, changed in found if changed in [other for _, other in expected]]
    only = [[entry for entry in side if entry[1] not in both] for side in (found, expected)]
    return f"only traced: {only[0]}; only exact: {only[1]}"
