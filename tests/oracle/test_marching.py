from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings

from oracle.closed_forms import KNOWN, Known
from oracle.marching import march
from oracle.modules import Described
from oracle.networks import cases, generic
from oracle.rational import restrict
from oracle.steps import Case


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.case.name)
def test_known_restrictions(known: Known):
    _check(known.case, list(known.flips))


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(cases(generic))
def test_marching_agrees_with_rational_arithmetic(case: Case):
    _check(case, restrict(case).flips)


def _check(case: Case, expected: list) -> None:
    module = Described(case.steps, case.start.ndim)
    found = march(module, torch.from_numpy(case.start), torch.from_numpy(case.end))
    assert found.flips() == [set(changed) for _, changed in expected]
    assert found.t == pytest.approx([float(t) for t, _ in expected], abs=1e-9)
