"""Weights of every size: traced exactly; named where values vanish, refused where they overflow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import transect
from oracle.steps import Case, Linear, Relu
from support.against import exported_once, module_of, path_of
from support.models import perceptron, points
from support.named import DTYPES, named, right_or_named, traced
from transect.errors import InvalidInput, VerificationError


def _scaled(widths: tuple[int, ...], scale: float, biases: str, seed: int = 1) -> Case:
    """Layers of weights of one size, with biases of the size of the weights, or of what they are added to, or none."""
    random, steps = np.random.default_rng(seed), []
    for layer, (into, out) in enumerate(pairwise(widths)):
        weight = scale * random.standard_normal((out, into)) / into**0.5
        size = scale ** (layer + 1) if biases == "values" else scale
        bias = None if biases == "none" else size * random.standard_normal(out)
        steps += [Linear((len(steps),), weight, bias), Relu((len(steps) + 1,))]
    start, end = 3 * random.standard_normal((2, widths[0]))
    return Case(f"scale {scale:g}", tuple(steps[:-1]), start, end)


@pytest.mark.parametrize("biases", ["none", "weights", "values"])
@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e-60, 1e60])
def test_weights_of_any_ordinary_size_are_traced_exactly(scale: float, biases: str):
    with exported_once():
        found = [right_or_named(_scaled((4, 8, 8, 8, 3), scale, biases, seed)) for seed in range(4)]
    assert not any(one.unresolved for one in found)
    assert sum(int(one.crossings) for one in found) > 4


@pytest.mark.parametrize("biases", ["none", "weights"])
@pytest.mark.parametrize("scale", [1e-100, 1e-160, 1e-250, 1e-300, 1e-310])
def test_what_vanishes_in_the_subnormal_range_is_named(scale: float, biases: str):
    """Products of such weights are subnormal, or zero, where the true values are neither."""
    with exported_once():
        for seed in range(4):
            found = right_or_named(_scaled((4, 6, 6, 6, 3), scale, biases, seed))
            assert found.unresolved or biases == "weights"


def test_all_units_of_layers_that_vanish_are_named():
    """1e-120 to the third power is zero; the layers below it see exact zeros, and know no better."""
    module = perceptron(10, 20, 20, 20, 20, 3, bias=False)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(1e-120)
    found = traced(module, transect.Path(points(2, 10)))
    assert named(found) == {(layer, unit) for layer in (2, 3) for unit in range(20)}


@pytest.mark.parametrize(("widths", "scale"), [((4, 9, 3), 1e150), ((4, 8, 8, 3), 1e100)], ids=str)
def test_values_that_just_do_not_overflow(widths: tuple[int, ...], scale: float):
    """Nor may anything that is made of their squares."""
    found = right_or_named(_scaled(widths, scale, "weights"))
    assert not found.unresolved
    expected = traced(module_of(_scaled(widths, 1.0, "weights")), found.path) if len(widths) == 3 else found
    assert int(found.crossings) > 0
    assert bool(found.arc_length().isfinite().all())
    torch.testing.assert_close(found.slope_similarity(), expected.slope_similarity(), rtol=1e-9, atol=0)


@pytest.mark.parametrize(("widths", "scale"), [((4, 8, 3), 1e160), ((4, 8, 8, 3), 1e150), ((4, 8, 3), 1e307)], ids=str)
def test_values_that_overflow_are_refused(widths: tuple[int, ...], scale: float):
    case = _scaled(widths, scale, "weights")
    with pytest.raises((InvalidInput, VerificationError), match="overflow"):
        traced(module_of(case), path_of(case))


@pytest.mark.parametrize("scale", [1e-55, 1e-30, 1e30, 1e55])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_ties_are_judged_alike_at_every_scale(scale: float, dtype: torch.dtype):
    """All units meet in the origin, a quarter of the way; rounding is carried along although its squares vanish."""
    if dtype == torch.float32 and not 1e-31 < scale < 1e31:
        return
    layers = 5 if dtype == torch.float64 else 1
    module = perceptron(30, *[100] * layers, 4, bias=False)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(scale)
        module[-1].weight.div_(scale)
    x = points(1, 30, seed=3)[0].to(dtype)
    network = transect.capture(module.to(dtype), x, dtype=dtype)
    found = traced(network, transect.Path(torch.stack([x, -3 * x])))
    segment = found.segments[0]
    if dtype == torch.float64:
        assert segment.t.tolist() == pytest.approx([0, 0.25, 1], rel=1e-12)
        assert not found.unresolved
    assert bool(((segment.t[1:-1] - 0.25).abs() <= segment.t_error[1:-1]).all())
    assert int(found.flips_by_operation[0, 0]) == 100


@pytest.mark.parametrize("scale", [1e-110, 1e-80, 1e80, 1e150])
def test_measures_scale_with_the_outputs(scale: float):
    """Squares of outputs of 1e-220 vanish, those of 1e300 overflow."""
    module = perceptron(5, 30, 3, bias=False)
    with exported_once():
        expected = traced(transect.capture(module, torch.zeros(5)), transect.Path(points(2, 5)))
        with torch.no_grad():
            for weight in module.parameters():
                weight.mul_(scale)
        found = traced(transect.capture(module, torch.zeros(5)), expected.path)
    for measure in ("arc_length", "deviation_norm", "absolute_deviation", "total_variation"):
        small, usual = getattr(found, measure)(), getattr(expected, measure)()
        torch.testing.assert_close(small / scale / scale, usual, rtol=1e-9, atol=0)
    torch.testing.assert_close(found.slope_similarity(), expected.slope_similarity(), rtol=1e-9, atol=0)
