"""Units that cross within a hair of one another, on short and long segments: right, or named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import transect
from oracle.steps import Case, Convolution, Flatten, Linear, MaxPool, Relu
from oracle.undecided import patterns
from support.against import exported_once
from support.models import linear, perceptron, points
from support.named import DTYPES, named, right_or_named, traced
from transect.errors import VerificationError

Build = Callable[[int, float, torch.dtype], tuple[nn.Module, list[Fraction]]]


def _spread_out(count: int, width: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, np.random.Generator]:
    """Slopes of any sign, and places within ``width`` of one half in no order."""
    random = np.random.default_rng(0)
    slope = random.uniform(0.5, 2, count) * random.choice([-1, 1], count)
    places = 0.5 + width * (random.permutation(count) / count - 0.5)
    return torch.from_numpy(slope).to(dtype), torch.from_numpy(places), random


def _first_layer(count: int, width: float, dtype: torch.dtype) -> tuple[nn.Module, list[Fraction]]:
    """Units ``w x + b`` on [0, 1], and where they cross exactly."""
    slope, places, random = _spread_out(count, width, dtype)
    bias = (-(slope.double() * places)).to(dtype)
    truth = [-Fraction(b) / Fraction(w) for w, b in zip(slope.tolist(), bias.tolist(), strict=True)]
    last = linear(random.standard_normal((2, count)))
    return nn.Sequential(linear(slope.unsqueeze(1), bias), nn.ReLU(), last).to(dtype), truth


def _second_layer(count: int, width: float, dtype: torch.dtype) -> tuple[nn.Module, list[Fraction]]:
    """Units of ``relu(x + 1)`` and ``relu(2 - x)``, both active all along, and where they cross exactly."""
    _, places, random = _spread_out(count, width, dtype)
    weight = torch.from_numpy(random.standard_normal((count, 2))).to(dtype)
    ends = torch.tensor([[1.0, 1.0], [-1.0, 2.0]], dtype=torch.float64)  # columns: along the segment, and at its start
    along, start = (weight.double() @ ends).unbind(1)
    bias = (-(along * places + start)).to(dtype)
    rows = zip(weight.tolist(), bias.tolist(), strict=True)
    truth = [-(Fraction(b) + Fraction(p) + 2 * Fraction(q)) / (Fraction(p) - Fraction(q)) for (p, q), b in rows]
    first, last = linear([[1.0], [-1.0]], [1.0, 2.0]), linear(random.standard_normal((2, count)))
    return nn.Sequential(first, nn.ReLU(), linear(weight, bias), nn.ReLU(), last).to(dtype), truth


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("width", [1e-9, 1e-12, 1e-15])
@pytest.mark.parametrize(("layer", "build"), [(0, _first_layer), (1, _second_layer)], ids=["first", "second"])
def test_thousands_of_units_within_a_hair_of_one_another(layer: int, build: Build, width: float, dtype: torch.dtype):
    """Every unit flips once, at a knot whose stated error its true place lies within; or it is named."""
    module, truth = build(4000 if width == 1e-9 else 1500, width, dtype)
    network = transect.capture(module, torch.zeros(1, dtype=dtype), dtype=dtype)
    for budget in (50_000, 2_000_000):
        found = traced(network, transect.Path(torch.tensor([[0.0], [1.0]], dtype=dtype)), budget=budget)
        _assert_flips_once_at(found, layer, truth)
        if build is _first_layer and width == 1e-9 and dtype == torch.float64:
            assert found.crossings.tolist() == [4000]
            assert not found.unresolved
            assert float(found.segments[0].t_error.max()) < 1e-13


def _assert_flips_once_at(found: transect.Trace, layer: int, truth: list[Fraction]) -> None:
    segment, flips = found.segments[0], found.segments[0].flips
    mine = flips.operation == layer
    knots, units = flips.knot[mine].tolist(), flips.unit[mine].tolist()
    assert bool((segment.t.diff() > 0).all())
    sure = {unit for unit in range(len(truth)) if (layer, unit) not in named(found)}
    inside = {unit for unit in sure if 0 < truth[unit] < 1}
    assert sorted(unit for unit in units if unit in sure) == sorted(inside)
    t, error = ([Fraction(x) for x in column.tolist()] for column in (segment.t, segment.t_error))
    wrong = {unit: float(t[k] - truth[unit]) for k, unit in zip(knots, units, strict=True)
             if abs(t[k] - truth[unit]) > error[k]}  # fmt: skip
    assert not wrong


@pytest.mark.parametrize("ulps", [1, 10, 100])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nearly_parallel_units(ulps: int, dtype: torch.dtype):
    """Weights that differ in their last bits only: every unit crosses within the stated error of its knot."""
    random, eps = np.random.default_rng(ulps), torch.finfo(dtype).eps
    base = torch.from_numpy(random.standard_normal(12)).to(dtype)
    weight = base * (1 + eps * torch.from_numpy(random.integers(-ulps, ulps + 1, (500, 12))).to(dtype))
    bias = torch.full((500,), float(base.double() @ torch.full((12,), -0.5, dtype=torch.float64)), dtype=dtype)
    start, end = torch.from_numpy(random.standard_normal((2, 12))).to(dtype) + torch.tensor([[0.0], [1.0]]).to(dtype)
    start, end = (x - base * ((x - 0.5) @ base + shift) / (base @ base) for x, shift in ((start, 1.0), (end, -1.0)))
    module = nn.Sequential(linear(weight, bias), nn.ReLU(), linear(random.standard_normal((2, 500)))).to(dtype)
    path = transect.Path(torch.stack([start, end]))
    found = traced(transect.capture(module, start, dtype=dtype), path)
    _assert_flips_once_at(found, 0, _places(weight, bias, start, end))


def _places(weight: Tensor, bias: Tensor, start: Tensor, end: Tensor) -> list[Fraction]:
    """Where units of a first layer cross, exactly."""
    start, end = ([Fraction(x) for x in point.tolist()] for point in (start, end))
    places = []
    for row, shift in zip(weight.tolist(), bias.tolist(), strict=True):
        left, right = (Fraction(shift) + sum(Fraction(w) * x for w, x in zip(row, point, strict=True))
                       for point in (start, end))  # fmt: skip
        places.append(left / (left - right))
    return places


def _through(start: np.ndarray, end: np.ndarray, seed: int) -> Case:
    """Two layers, the units of the first of which cross at random places of the segment, as far as floats go."""
    random = np.random.default_rng(seed)
    steps = []
    weight = random.standard_normal((6, len(start)))
    places = start + random.uniform(0.1, 0.9, (6, 1)) * (end - start)
    steps = [Linear((0,), weight, -(weight * places).sum(1)), Relu((1,))]
    second, inner = random.standard_normal((5, 6)), start + random.uniform(0.2, 0.8, (5, 1)) * (end - start)
    there = (second * np.maximum(inner @ weight.T + steps[0].bias, 0)).sum(1)
    steps += [Linear((2,), second, -there), Relu((3,)), Linear((4,), random.standard_normal((2, 5)), None)]
    return Case("through", tuple(steps), start, end)


@pytest.mark.parametrize("length", [1e-12, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("distance", [0.0, 1e-3, 1.0, 1e3, 1e6])
def test_short_and_long_segments_near_and_far(length: float, distance: float):
    """Ends that differ in their last bits only, too: where that leaves nothing of a unit but rounding, it is named."""
    with exported_once():
        for seed in range(3):
            random = np.random.default_rng(seed)
            start, along = distance * random.standard_normal(4), random.standard_normal(4)
            end = start + length * along / np.linalg.norm(along)
            if np.array_equal(start, end):
                continue
            case = _through(start, end, seed)
            found = right_or_named(case, verify=distance < 1e3 or length > 1e-6)
            if distance <= length:
                assert not found.unresolved
                assert int(found.crossings) >= 6


# A max-pool whose windows mostly hold zeros


def _pooled(channels: int, size: int, seed: int, scale: float) -> Case:
    """Convolution, ReLU with nearly everything dead, max-pooling 3x3/2, and a layer on top."""
    random = np.random.default_rng(seed)
    weight = scale * random.standard_normal((channels, 1, 3, 3))
    first = Convolution((0,), weight, -3.5 * scale * np.ones(channels), padding=1)
    pool = MaxPool((2,), (3, 3), (2, 2), (1, 1), (1, 1))
    width = channels * ((size + 1) // 2) ** 2
    last = Linear((4,), random.standard_normal((3, width)), None)
    start, end = random.standard_normal((2, 1, size, size))
    return Case("pooled", (first, Relu((1,)), pool, Flatten((3,)), last), start, end)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_pooling_after_a_relu_that_is_nearly_dead(scale: float):
    """Windows of zeros tie all along and do not flip; the others are followed exactly."""
    case = _pooled(2, 10, 0, scale)
    for budget in (1, 2_000_000):
        found = right_or_named(case, budget=budget)
        assert not found.unresolved
        assert int(found.flips_by_operation[0, 1]) > 0


@pytest.mark.slow
def test_pooling_of_many_channels_after_a_relu_that_is_nearly_dead():
    found = right_or_named(_pooled(8, 16, 1, 1.0))
    assert int(found.flips_by_operation[0, 1]) > 50


# Verification, both ways


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1.0, 1e30, 1e100])
def test_a_trace_of_another_network_does_not_pass_at_any_scale(scale: float):
    """What is verified is compared with the exported graph: here, with that of a network of one other weight."""
    module = perceptron(5, 30, 3, bias=False)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(scale)
    network, path = transect.capture(module, torch.zeros(5)), transect.Path(points(2, 5))
    found = transect.trace(network, path)
    assert found.verification is not None
    assert found.verification.relative_error < 1e-12
    with torch.no_grad():
        module[2].weight[0].mul_(1 + 1e-6)
    wrong = replace(network, graph=transect.capture(module, torch.zeros(5)).graph)
    with pytest.raises(VerificationError, match="must not be used"):
        transect.trace(wrong, path)
    unverified = transect.trace(wrong, path, verify=False)
    assert unverified.verification is None
    assert torch.equal(unverified.segments[0].outputs, found.segments[0].outputs)


@pytest.mark.parametrize("sign", [1, -1], ids=["rising", "falling"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_unit_that_goes_through_all_its_pieces_at_one_point(dtype: torch.dtype, sign: int):
    """Both thresholds are crossed within an ulp of t = 1/3: one flip from the first piece to the last."""
    with exported_once():
        for slope in (1e14, 1e16, 1e18, 1e30):
            first = linear([[sign * slope]], [-sign * slope / 3])
            network = transect.capture(nn.Sequential(first, nn.Hardtanh()).to(dtype), torch.zeros(1), dtype=dtype)
            segment = traced(network, transect.Path(torch.tensor([[0.0], [1.0]], dtype=dtype))).segments[0]
            pieces = (0, 2)[::sign]
            assert (int(segment.start_pattern[0]), int(segment.flips.before), int(segment.flips.after)) == (
                pieces[0],
                *pieces,
            )
            assert segment.t.tolist() == pytest.approx([0, 1 / 3, 1], abs=1e-6)


@pytest.mark.parametrize("width", [1e-12, 1e-14, 1e-15])
def test_many_clamps_narrower_than_rounding(width: float):
    """However chains of crossings are cut, every unit goes from piece to piece, and ends where it ends."""
    slope, places, random = _spread_out(400, 1e-13, torch.float64)
    slope = slope * 10 ** torch.from_numpy(random.uniform(-2, 2, 400))
    last = linear(random.standard_normal((2, 400)))
    module = nn.Sequential(linear(slope.unsqueeze(1), -slope * places), nn.Hardtanh(-width, width), last)
    for budget in (1, 2_000_000):
        found = traced(module, transect.Path([[0.0], [1.0]]), budget=budget)
        *_, pattern = patterns(found.segments[0])  # raises where a unit leaves a piece that it was not on
        assert pattern[0] == [2 if one > 0 else 0 for one in slope.tolist()]


@pytest.mark.parametrize("width", [1e-9, 1e-11, 1e-12, 1e-13, 1e-14])
def test_units_that_cross_within_a_cluster_of_crossings(width: float):
    """The second layer bends where thirty units of the first do, a hair from one another."""
    with exported_once():
        for seed in range(4):
            random = np.random.default_rng(seed)
            slope = random.uniform(0.5, 2, (30, 1)) * random.choice([-1, 1], (30, 1))
            places = 0.5 + width * random.uniform(-0.5, 0.5, (30, 1))
            second, inner = random.standard_normal((6, 30)), 0.5 + width * random.uniform(-0.5, 0.5, (6, 1))
            there = (second * np.maximum(slope.T * (inner - places.T), 0)).sum(1)
            steps = (Linear((0,), slope, -(slope * places)[:, 0]), Relu((1,)), Linear((2,), second, -there),
                     Relu((3,)), Linear((4,), random.standard_normal((2, 6)), None))  # fmt: skip
            found = right_or_named(Case("cluster", steps, np.zeros(1), np.ones(1)))
            assert int(found.crossings) >= (25 if width == 1e-9 else 1)
