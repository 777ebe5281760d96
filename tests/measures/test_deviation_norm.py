"""Deviation norm against fifty digits and quadrature."""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from support.piecewise import Curve, measured, random_curve, value
from transect.measures.absolute_deviation import AbsoluteDeviation
from transect.measures.deviation_norm import DeviationNorm, mean_norm

_NAME = "deviation_norm"
_EPS = 2.0**-52


def _precise(left: np.ndarray, right: np.ndarray) -> mpmath.mpf:
    """Integral over t of sqrt(a + b t + c t^2), from a table of integrals, with digits to spare for what cancels."""
    with mpmath.workdps(400):
        x = [mpmath.mpf(v) for v in left.tolist()]
        d = [mpmath.mpf(r) - v for r, v in zip(right.tolist(), x, strict=True)]
        a, b, c = mpmath.fdot(x, x), 2 * mpmath.fdot(x, d), mpmath.fdot(d, d)
        if c == 0:
            return mpmath.sqrt(a)

        def primitive(t: int) -> mpmath.mpf:
            root, rise = mpmath.sqrt(a + b * t + c * t * t), 2 * c * t + b
            across = 4 * a * c - b * b
            flat = rise * root / (4 * c)
            if across <= mpmath.mpf(10) ** -380 * a * c:
                return flat  # through zero: the second term vanishes
            return flat + across / (8 * c ** mpmath.mpf("1.5")) * mpmath.asinh(rise / mpmath.sqrt(across))

        return primitive(1) - primitive(0)


def _relative_error(left: np.ndarray, right: np.ndarray) -> float:
    found = mean_norm(torch.from_numpy(left[None]), torch.from_numpy(right[None])).item()
    expected = _precise(left, right)
    return float(abs(found - expected) / expected) if expected else float(found)


def _vectors(seed: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.random.default_rng(seed).normal(size=(2, outputs))
    return first, second


def test_the_table_of_integrals_is_right() -> None:
    left, right = _vectors(0, 3)
    with mpmath.workdps(50):
        x, y = ([mpmath.mpf(v) for v in vector.tolist()] for vector in (left, right))

        def norm(t: mpmath.mpf) -> mpmath.mpf:
            return mpmath.norm([u + t * (v - u) for u, v in zip(x, y, strict=True)])

        assert abs(mpmath.quad(norm, [0, 0.5, 1]) - _precise(left, right)) < mpmath.mpf(10) ** -30


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(-8, 8), st.sampled_from([1e-290, 1.0, 1e290]))
def test_any_two_vectors(seed: int, outputs: int, logarithm: float, scale: float) -> None:
    left, right = _vectors(seed, outputs)
    assert _relative_error(left * scale, right * scale * 10**logarithm) < 16 * _EPS


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(-17, 1))
def test_a_vector_that_hardly_changes(seed: int, outputs: int, logarithm: float) -> None:
    left, change = _vectors(seed, outputs)
    assert _relative_error(left, left + 10**logarithm * change) < 16 * _EPS


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(-300, 0), st.floats(0.001, 1000))
def test_a_vector_that_passes_nearly_through_zero(seed: int, outputs: int, logarithm: float, ratio: float) -> None:
    left, across = _vectors(seed, outputs)
    assert _relative_error(left, -ratio * left + 10**logarithm * across) < 16 * _EPS


@pytest.mark.parametrize("outputs", [1, 2, 10, 1000])
@pytest.mark.parametrize("ratio", [1.0, -1.0, 0.0, 2.0, 0.5, 1 + _EPS, -1 - _EPS, -1e-300, 1 / 3, -(10.0**12)])
def test_multiples_of_one_vector(outputs: int, ratio: float) -> None:
    left = _vectors(1, outputs)[0]
    assert _relative_error(left, ratio * left) < 16 * _EPS
    assert _relative_error(ratio * left, left) < 16 * _EPS


@pytest.mark.parametrize("step", [0.011, 0.02, 0.05, 0.1, 0.3, 1 - 1e-9, 1.0, 1 + 1e-9, 1.999999, 2.000001])
@pytest.mark.parametrize("angle", [0.0, 0.5, 1.5707, 2.0, 3.14159])
def test_both_sides_of_where_the_method_changes(step: float, angle: float) -> None:
    left = np.array([1.0, 0.0, 0.0])
    assert _relative_error(left, left + step * np.array([np.cos(angle), np.sin(angle), 0.0])) < 16 * _EPS


def test_zero_is_zero_beside_other_rows() -> None:
    left = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    right = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]], dtype=torch.float64)
    assert mean_norm(left, right).tolist() == pytest.approx([0.0, 5.0, 1.0], rel=1e-15, abs=0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0.1, 9))
def test_equals_quadrature(seed: int, regions: int, length: float) -> None:
    curve = random_curve(seed, regions, 3, length=length)
    pieces = [quad(lambda t: np.linalg.norm(curve.deviation(t)), a, b)[0] for a, b in pairwise(curve.breaks())]
    assert value(DeviationNorm, _NAME, curve).item() == pytest.approx(length * sum(pieces), rel=1e-7, abs=1e-9)


def test_one_output_gives_the_absolute_deviation() -> None:
    curve = random_curve(3, 50, 1)
    norm, absolute = measured(DeviationNorm, [curve])[_NAME], value(AbsoluteDeviation, "absolute_deviation", curve)
    assert norm.value.item() == pytest.approx(absolute.item(), rel=1e-13)


def test_a_tent_of_two_outputs() -> None:
    curve = Curve(np.array([0.0, 0.5, 1.0]), np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]), length=2.0)
    assert value(DeviationNorm, _NAME, curve).item() == pytest.approx(5.0, rel=1e-15)  # 2 * 5 / 2
