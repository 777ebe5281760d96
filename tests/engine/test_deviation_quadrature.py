"""Measures of a traced network against numerical integration of the module itself, which knows nothing of regions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor, nn

import transect
from oracle import dense
from support.models import perceptron, points, residual_network, traced_once

CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "few regions": (lambda: perceptron(2, 6, 6, 3), 3 * points(4, 2)),
    "many regions": (lambda: perceptron(8, 30, 30, 2, seed=1), 2 * points(3, 8)),
    "no biases": (lambda: perceptron(8, 30, 30, 2, bias=False), torch.stack([p := points(1, 8)[0], -p, 2 * p])),
    "residual network": (residual_network, points(2, 3, 8, 8, seed=2)),
}


_traced = traced_once(CASES)


@pytest.fixture(params=CASES)
def traced(request: pytest.FixtureRequest) -> tuple[nn.Module, transect.Trace]:
    return _traced(request.param)


def test_absolute_deviation(traced: tuple[nn.Module, transect.Trace]):
    module, found = traced
    for segment, deviation in enumerate(found.mean_deviation()):
        gap = _gap(module, found.path, segment)
        expected = dense.integral(lambda t, gap=gap: gap(t).abs())
        torch.testing.assert_close(deviation, expected, rtol=1e-9, atol=0)


def test_deviation_norm(traced: tuple[nn.Module, transect.Trace]):
    """The integrand bends along hyperbolas between the knots: closing in on them all costs more, to fewer digits."""
    module, found = traced
    for segment, (norm, length) in enumerate(zip(found.deviation_norm(), found.length, strict=True)):
        gap = _gap(module, found.path, segment)
        expected = dense.integral(lambda t, gap=gap: gap(t).norm(dim=1, keepdim=True), tolerance=1e-9)
        torch.testing.assert_close(norm.reshape(1) / length, expected, rtol=1e-6, atol=0)


def test_quadrature_piece_by_piece():
    """Adaptive Gauss-Kronrod quadrature of the module, told where to look for kinks: the most exact check."""
    module, found = _traced("few regions")
    for segment, (deviation, kept) in enumerate(zip(found.mean_deviation(), found.segments, strict=True)):
        gap = _gap(module, found.path, segment)
        for output, value in enumerate(deviation.tolist()):
            pieces = [quad(_at(gap, output), *piece, epsabs=0, epsrel=1e-11)[0] for piece in pairwise(kept.t.tolist())]
            assert value == pytest.approx(sum(pieces), rel=1e-9)


def test_the_grid_converges_to_the_deviation_as_its_square(traced: tuple[nn.Module, transect.Trace]):
    """The trapezium rule's error shrinks fourfold and more for every doubling of the grid, so the limit is met."""
    module, found = traced
    ends = found.path.starts[0], found.path.ends[0]
    expected = found.mean_deviation()[0]
    errors = [float((dense.mean_absolute_deviation(module, *ends, n + 1) - expected).abs().max() / expected.max())
              for n in (251, 4001)]  # fmt: skip
    assert errors[1] < 1e-6
    assert errors[1] < errors[0] / 40


def test_total_variation_and_arc_length(traced: tuple[nn.Module, transect.Trace]):
    """A fine grid cuts the corners: its sums are below the exact ones, by little."""
    module, found = traced
    for segment in range(len(found.path)):
        ends = found.path.starts[segment], found.path.ends[segment]
        with torch.no_grad():
            steps = module(dense.grid(*ends, 20_001)[1]).diff(dim=0)
        torch.testing.assert_close(found.total_variation()[segment], steps.abs().sum(0), rtol=1e-3, atol=0)
        torch.testing.assert_close(found.arc_length()[segment], steps.norm(dim=1).sum(), rtol=1e-3, atol=0)
        assert bool((steps.abs().sum(0) <= found.total_variation()[segment] * (1 + 1e-12)).all())
        assert float(steps.norm(dim=1).sum()) <= float(found.arc_length()[segment]) * (1 + 1e-12)


def _at(gap: Callable[[Tensor], Tensor], output: int) -> Callable[[float], float]:
    return lambda t: abs(float(gap(torch.tensor([t], dtype=torch.float64))[0, output]))


def _gap(module: nn.Module, path: transect.Path, segment: int) -> Callable[[Tensor], Tensor]:
    """``f - a`` at positions of a segment, by evaluating the module."""
    start, end = path.starts[segment], path.ends[segment]

    def f(t: Tensor) -> Tensor:
        with torch.no_grad():
            return module(start + t.reshape(-1, *(1,) * start.dim()) * (end - start))

    first, last = f(torch.tensor([0.0, 1.0], dtype=torch.float64))
    return lambda t: f(t) - (first + t.unsqueeze(1) * (last - first))
