"""The exact oracle on networks of all bending steps, against plain evaluation of the module in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, pairwise
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oracle.bends import envelope
from oracle.choices import Rolled
from oracle.closed_bends import KNOWN_BENDS, KnownBend
from oracle.mixed import FAMILIES, mixed
from oracle.modules import Described, points_of
from oracle.networks import Numbers, coarse, decimal, drawn, generic, repeating, spread, uneven
from oracle.operands import bends_at
from oracle.rational import Restriction, assert_tiles_the_segment, restrict
from oracle.steps import Case, MaxPool
from oracle.undecided import assert_same_on_intervals, undecidable
from oracle.windows import windows

KINDS = [generic, coarse, repeating, uneven]
by_kind = pytest.mark.parametrize("numbers", KINDS, ids=lambda numbers: numbers.__name__)
few = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("known", KNOWN_BENDS, ids=lambda known: known.case.name)
def test_known_bends(known: KnownBend):
    found = restrict(known.case)
    assert found.pieces[0].pattern == known.pattern
    assert found.flips == list(known.flips)
    assert found.outputs == [list(row) for row in known.outputs]
    outputs = torch.tensor([[float(value) for value in row] for row in known.outputs], dtype=torch.float64)
    points = points_of(known.case, found.knots)
    torch.testing.assert_close(Described(known.case.steps, known.case.start.ndim)(points).detach(), outputs)


@by_kind
@few
@given(data=st.data())
def test_outputs_are_those_of_the_module_at_the_knots_and_between(
    numbers: Callable[[int], Numbers], data: st.DataObject
):
    case = data.draw(mixed(numbers))
    found = restrict(case)
    middles = [(piece.low + piece.high) / 2 for piece in found.pieces]
    exact = found.outputs + [piece.output.at(middle) for piece, middle in zip(found.pieces, middles, strict=True)]
    expected = torch.tensor([[float(value) for value in row] for row in exact], dtype=torch.float64)
    with torch.no_grad():
        outputs = Described(case.steps, case.start.ndim)(points_of(case, found.knots + middles))
    torch.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()) + 1e-12)


@by_kind
@few
@given(data=st.data())
def test_pieces_tile_the_segment_and_neighbours_differ(numbers: Callable[[int], Numbers], data: st.DataObject):
    found = restrict(data.draw(mixed(numbers)))
    assert_tiles_the_segment(found)


@few
@given(mixed(coarse) | mixed(generic))
def test_pieces_are_those_of_plain_rational_evaluation_at_two_points_of_each(case: Case):
    """At single points, without any intervals; of several winners the first, at both points."""
    for piece in restrict(case).pieces:
        for weight in (Fraction(1, 3), Fraction(5, 7)):
            at = piece.low + weight * (piece.high - piece.low)
            assert tuple(one.pieces for one in bends_at(case, at)) == piece.pattern


@few
@given(mixed(generic))
def test_reversal_mirrors_everything(case: Case):
    there, back = restrict(case), restrict(Case(case.name, case.steps, case.end, case.start))
    assert back.flips == [(1 - t, {(k, u, b, a) for k, u, a, b in changed}) for t, changed in reversed(there.flips)]
    assert back.mean_absolute_deviation == there.mean_absolute_deviation


GEOMETRIES = [  # kernel, stride, padding, dilation; of sizes 5, or 5 by 6
    ((3,), (2,), (1,), (1,)), ((2,), (2,), (0,), (1,)), ((3,), (3,), (1,), (2,)), ((2,), (1,), (1,), (2,)),
    ((3, 3), (2, 2), (1, 1), (1, 1)), ((3, 3), (2, 2), (0, 0), (1, 1)), ((2, 2), (2, 2), (1, 1), (1, 1)),
    ((3, 2), (1, 2), (1, 0), (1, 1)), ((2, 3), (3, 2), (0, 1), (2, 2)),
]  # fmt: skip


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_windows_of_max_pooling_are_those_of_torch(geometry: tuple, ceil_mode: bool):
    shape = (2, 5, 6)[: len(geometry[0]) + 1]
    x = torch.from_numpy(-1 - np.random.default_rng(0).random((1, *shape)))  # negative: padding with zeros would win
    pool = torch.nn.functional.max_pool1d if len(shape) == 2 else torch.nn.functional.max_pool2d
    values, indices = pool(x, *geometry, ceil_mode, True)
    seen = windows(MaxPool((0,), *geometry, ceil_mode), shape)
    assert seen.shape == values.shape[1:]
    size = int(np.prod(shape[1:]))
    flat = x.flatten()
    winners = [max((at for at in members if at is not None), key=lambda at: flat[at]) for members in seen.members]
    channel = torch.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    assert winners == (indices[0] + size * channel).flatten().tolist()


whole = st.integers(-4, 4)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(st.none() | st.tuples(whole, whole), min_size=1, max_size=8).filter(any))
def test_envelope_is_that_of_all_pairs_of_lines(lines: list[tuple[int, int] | None]):
    """Every meeting point of two lines cuts; between two cuts the first of the largest at the middle wins."""
    low, high = Fraction(0), Fraction(3)
    present = [(position, *line) for position, line in enumerate(lines) if line is not None]
    cuts = {Fraction(a - c, d - b) for (_, a, b), (_, c, d) in combinations(present, 2) if b != d}
    expected: list[tuple[Fraction, int]] = []
    for left, right in pairwise([low, *sorted(t for t in cuts if low < t < high), high]):
        middle = (left + right) / 2
        winner = max(present, key=lambda line: (line[1] + middle * line[2], -line[0]))[0]
        if not expected or expected[-1][1] != winner:
            expected.append((left, winner))
    assert envelope(lines, low, high) == expected


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([generic, decimal, spread]).flatmap(mixed), st.randoms(use_true_random=False))
def test_comparison_within_rounding_sees_one_wrong_piece(case: Case, random: Random):
    exact = restrict(case)
    undecided = undecidable(case, exact)
    longest = max(exact.pieces, key=lambda piece: piece.high - piece.low)
    assume(longest.high - longest.low > 1e-9)
    assert_same_on_intervals(_as_traced(exact), exact, set())
    decided = [
        (o, u) for o, pieces in enumerate(longest.pattern) for u in range(len(pieces)) if (o, u) not in undecided
    ]
    assume(decided)
    operation, unit = random.choice(decided)
    pattern = [list(pieces) for pieces in longest.pattern]
    pattern[operation][unit] += 1
    wrong = replace(longest, pattern=tuple(map(tuple, pattern)))
    traced = _as_traced(replace(exact, pieces=tuple(wrong if piece is longest else piece for piece in exact.pieces)))
    with pytest.raises(AssertionError, match="traced, exact"):
        assert_same_on_intervals(traced, exact, undecided)


def test_few_units_are_undecided():
    """Otherwise the comparison says nothing: of decimal numbers under a tenth."""
    random = np.random.default_rng(0)
    units = undecided = 0
    for _ in range(60):
        case = drawn(Rolled(random), FAMILIES, decimal)
        exact = restrict(case)
        units += sum(map(len, exact.pieces[0].pattern))
        undecided += len(undecidable(case, exact))
    assert 0 < undecided < 0.1 * units


def _as_traced(exact: Restriction) -> SimpleNamespace:
    """A restriction as the engine would give it."""
    rows = torch.tensor([(knot, *flip) for knot, (_, flips) in enumerate(exact.flips, 1) for flip in sorted(flips)])
    names = ("knot", "operation", "unit", "before", "after")
    flips = SimpleNamespace(**dict(zip(names, rows.reshape(-1, 5).long().T, strict=True)))
    t = torch.tensor([float(knot) for knot in exact.knots], dtype=torch.float64)
    start = tuple(torch.tensor(pieces) for pieces in exact.pieces[0].pattern)
    return SimpleNamespace(t=t, t_error=torch.full_like(t, 1e-15), flips=flips, start_pattern=start)
