from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from oracle.closed_forms import KNOWN, Known
from oracle.dense import preactivations
from oracle.modules import Described, points_of
from oracle.networks import cases, coarse, generic
from oracle.rational import Restriction, assert_tiles_the_segment, restrict
from oracle.steps import Case


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.case.name)
def test_known_restrictions(known: Known):
    found = restrict(known.case)
    assert found.flips == list(known.flips)
    assert found.mean_absolute_deviation == list(known.deviation)
    assert found.total_variation == list(known.variation)


def test_knots_of_one_layer_are_where_the_units_cross():
    random = np.random.default_rng(0)
    from oracle.closed_forms import affine, chain

    weight, bias = random.standard_normal((30, 5)), random.standard_normal(30)
    case = Case(
        "one layer", chain(affine(0, weight, bias), affine(0, np.ones((1, 30)))), *random.standard_normal((2, 5))
    )
    with np.errstate(divide="ignore"):
        t = -(weight @ case.start + bias) / (weight @ (case.end - case.start))
    expected = np.sort(t[(t > 0) & (t < 1)])
    np.testing.assert_allclose([float(knot) for knot in restrict(case).knots[1:-1]], expected, rtol=1e-12)


@settings(max_examples=75, deadline=None, derandomize=True, database=None)
@given(cases(generic) | cases(coarse))
def test_outputs_at_the_knots_are_those_of_the_module(case: Case):
    found = restrict(case)
    module = Described(case.steps, case.start.ndim)
    with torch.no_grad():
        outputs = module(points_of(case, found.knots))
    expected = torch.tensor([[float(value) for value in row] for row in found.outputs], dtype=torch.float64)
    torch.testing.assert_close(outputs, expected, rtol=1e-11, atol=1e-11 * float(expected.abs().max()) + 1e-13)


@settings(max_examples=75, deadline=None, derandomize=True, database=None)
@given(cases(generic))
def test_patterns_are_those_of_the_module_in_the_middle_of_each_piece(case: Case):
    found = restrict(case)
    middles = [(piece.low + piece.high) / 2 for piece in found.pieces]
    seen = preactivations(Described(case.steps, case.start.ndim), points_of(case, middles))
    for operation, z in enumerate(seen):
        expected = torch.tensor([piece.pattern[operation] for piece in found.pieces])
        certain = z.abs() > 1e-12 * z.abs().max()
        assert torch.equal((z > 0)[certain], expected.bool()[certain])


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(cases(generic) | cases(coarse))
def test_pieces_tile_the_segment_and_neighbours_differ(case: Case):
    found = restrict(case)
    assert_tiles_the_segment(found)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(cases(generic) | cases(coarse))
def test_reversal_mirrors_everything(case: Case):
    there, back = restrict(case), restrict(Case(case.name, case.steps, case.end, case.start))
    assert back.flips == [(1 - t, {(k, u, b, a) for k, u, a, b in changed}) for t, changed in reversed(there.flips)]
    assert back.mean_absolute_deviation == there.mean_absolute_deviation
    assert back.total_variation == there.total_variation


def test_restriction_is_exact_where_floats_are_not():
    """Two units that cross 2^-80 apart are two crossings, in order; floats in t could not hold the difference."""
    from oracle.closed_forms import affine, chain

    steps = chain(affine(0, [[1, 0], [1, 2.0**-60]], [-0.5, -0.5]), affine(0, [[1, 1]]))
    found: Restriction = restrict(Case("close", steps, np.array([0, 2.0**-20]), np.array([1, 2.0**-20])))
    (first, second) = found.flips
    assert first == (Fraction(1, 2) - Fraction(1, 2**80), {(0, 1, 0, 1)})
    assert second == (Fraction(1, 2), {(0, 0, 0, 1)})
