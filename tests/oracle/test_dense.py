from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings

from oracle import dense
from oracle.closed_forms import KNOWN, Known
from oracle.modules import Described
from oracle.networks import cases, generic
from oracle.rational import restrict
from oracle.steps import Case


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.case.name)
def test_known_deviation_and_variation(known: Known):
    module = Described(known.case.steps, 1)
    ends = torch.from_numpy(known.case.start), torch.from_numpy(known.case.end)
    deviation = dense.mean_absolute_deviation(module, *ends, 5001)
    variation = dense.total_variation(module, *ends, 5001)
    assert deviation.tolist() == pytest.approx([float(value) for value in known.deviation], abs=1e-4)
    assert variation.tolist() == pytest.approx([float(value) for value in known.variation], rel=1e-2)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(cases(generic))
def test_sign_changes_on_a_grid_are_a_lower_bound_that_is_reached(case: Case):
    found = restrict(case)
    module = Described(case.steps, case.start.ndim)
    ends = torch.from_numpy(case.start), torch.from_numpy(case.end)
    flips = [sum(flip[0] == k for _, changed in found.flips for flip in changed)
             for k in range(len(found.pieces[0].pattern))]  # fmt: skip
    seen = dense.sign_changes(module, *ends, 2001)
    assert all(few <= all_ for few, all_ in zip(seen, flips, strict=True))
    narrowest = min(float(piece.high - piece.low) for piece in found.pieces)
    if narrowest > 2 / 2000:
        assert seen == flips


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(cases(generic))
def test_quadrature_agrees_with_the_exact_integral(case: Case):
    module = Described(case.steps, case.start.ndim)
    ends = torch.from_numpy(case.start), torch.from_numpy(case.end)
    found = restrict(case)
    expected = torch.tensor([float(value) for value in found.mean_absolute_deviation], dtype=torch.float64)
    largest = max(abs(float(value)) for row in found.outputs for value in row)
    seen = dense.mean_absolute_deviation(module, *ends, 4001)
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-6 * largest + 1e-15)


@pytest.mark.parametrize("kink", [0.5, 1 / 3, 0.123456789, 0.999])
def test_the_adaptive_integral_closes_in_on_a_kink(kink: float):
    """Areas of two triangles, and of a line beside them."""
    found = dense.integral(lambda t: torch.stack([(t - kink).abs(), 3 - 2 * t], 1))
    assert found.tolist() == pytest.approx([(kink**2 + (1 - kink) ** 2) / 2, 2.0], rel=1e-11)
