"""Inputs on which region counters usually go wrong; what is true of each is known without computing."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import transect
from oracle.dense import preactivations
from oracle.rational import restrict
from oracle.steps import Case, Convolution, Flatten, Linear, Relu
from support.against import assert_same, captured, exported_once, flips_by_knot, path_of
from support.models import linear, perceptron, points
from transect.errors import UnresolvedWarning
from transect.paths import translation_circle


def _trace(
    module: nn.Module | transect.Network, *anchors: object, closed: bool = False, **options: object
) -> transect.Trace:
    path = transect.Path(torch.stack([torch.as_tensor(a, dtype=torch.float64) for a in anchors]), closed)
    network = module if isinstance(module, transect.Network) else transect.capture(module, path.anchors[0])
    return transect.trace(network, path, **options)


def _copied(units: int, factors: list[float], seed: int) -> tuple[nn.Module, nn.Module]:
    """A layer with every unit once, and one with a multiple of every unit for each factor."""
    weight, bias = points(units, 9, seed=seed), points(units, seed=seed + 1)
    copies = (torch.cat([f * weight for f in factors]), torch.cat([f * bias for f in factors]))
    readouts = [linear(points(2, count)) for count in (units, units * len(factors))]
    once, often = (nn.Sequential(linear(w, b), nn.ReLU(), r)
                   for (w, b), r in zip([(weight, bias), copies], readouts, strict=True))  # fmt: skip
    return once, often


@pytest.mark.parametrize("factors", [[1, 1, 1], [1, -1, 2, 0.5], [1, 3, -0.1, 1e9, 1e-9], [1, 1e-200, 1e150]], ids=str)
def test_multiples_of_a_unit_cross_with_it(factors: list[float]):
    once, often = _copied(200, factors, seed=0)
    ends = 3 * points(2, 9, seed=5)
    single, multiple = _trace(once, *ends), _trace(often, *ends)
    assert int(single.crossings) > 50
    assert multiple.crossings.tolist() == single.crossings.tolist()
    assert multiple.flips.tolist() == [len(factors) * int(single.flips)]
    torch.testing.assert_close(multiple.segments[0].t, single.segments[0].t, rtol=0, atol=1e-13)


def test_dead_units_never_flip():
    """Without weights, or below their threshold all along, or above: at every bias the function is affine."""
    weight = torch.cat([torch.zeros(5, 4), -torch.zeros(1, 4), points(2, 4)]).double()
    module = nn.Sequential(
        linear(weight, [-1.0, 0.0, -0.0, 5e-324, 1.0, 0.0, 1e3, -1e3]), nn.ReLU(), linear(points(3, 8))
    )
    found = _trace(module, *points(3, 4, seed=1), closed=True)
    assert found.crossings.tolist() == [0, 0, 0]
    assert found.anchor_crossings == 0
    assert found.segments[0].start_pattern[0].tolist() == [0, 0, 0, 1, 1, 0, 1, 0]
    assert bool((found.reduced["absolute_deviation"].value <= found.rounding("absolute_deviation")).all())


def test_a_network_that_is_dead_throughout():
    module = nn.Sequential(
        linear(torch.zeros(4, 3)), nn.ReLU(), linear(torch.zeros(4, 4)), nn.ReLU(), linear(torch.zeros(2, 4))
    )
    found = _trace(module, *points(2, 3))
    assert found.crossings.tolist() == [0]
    assert found.absolute_deviation().tolist() == [[0.0, 0.0]]
    assert found.arc_length().tolist() == [0.0]


def test_a_network_without_bends():
    found = _trace(nn.Sequential(linear(points(3, 4), [1.0, 2.0, 3.0])), *points(3, 4, seed=1))
    assert found.regions.tolist() == [1, 1]
    assert found.anchor_crossings == 0


@pytest.mark.parametrize(
    ("anchors", "crossings", "at_anchors", "starts"),
    [
        ([0.0, 1.0, 2.0], [0, 0], 1, [0, 1]),
        ([2.0, 1.0, 0.0], [0, 0], 1, [1, 0]),
        ([0.0, 1.0, 0.0], [0, 0], 0, [0, 0]),
        ([2.0, 1.0, 2.0], [0, 0], 0, [1, 1]),
        ([1.0, 3.0, 0.0], [0, 1], 0, [1, 1]),
        ([1.0, 0.0, 1.0], [0, 0], 0, [0, 0]),
    ],
    ids=str,
)
def test_a_unit_exactly_zero_at_an_anchor(
    anchors: list[float], crossings: list[int], at_anchors: int, starts: list[int]
):
    """relu(x - 1) on the line: the pattern belongs to the open intervals beside an anchor."""
    found = _trace(_ramp(), *([a] for a in anchors))
    assert found.crossings.tolist() == crossings
    assert found.anchor_crossings == at_anchors
    assert [int(segment.start_pattern[0]) for segment in found.segments] == starts


@cache
def _ramp() -> transect.Network:
    return transect.capture(nn.Sequential(linear([[1.0]], [-1.0]), nn.ReLU()), [0.0])


def test_a_closed_path_counts_the_anchor_around_its_end():
    network = transect.capture(nn.Sequential(linear([[1.0, 0.0]]), nn.ReLU()), [0.0, 0.0])
    assert _trace(network, [0.0, 0.0], [1.0, 0.0], [-1.0, 1.0], closed=True).anchor_crossings == 1
    assert _trace(network, [0.0, 0.0], [1.0, 0.0], [1.0, 1.0], closed=True).anchor_crossings == 0
    assert _trace(network, [1.0, 0.0], [-1.0, 0.0], closed=True).path_crossings == 2


def test_units_that_touch_zero_and_turn_back():
    """Of |w x + b| and -|w x + b| no unit ever flips, for hundreds of hinges at generic places."""
    both = torch.eye(100, dtype=torch.float64).repeat(1, 2)
    with exported_once():
        for seed in range(5):
            weight, bias = points(100, 7, seed=seed), points(100, seed=seed + 1)
            pair = linear(torch.cat([weight, -weight]), torch.cat([bias, -bias]))
            module = nn.Sequential(pair, nn.ReLU(), linear(torch.cat([both, -both])), nn.ReLU(), linear(points(3, 200)))
            network = transect.capture(module, torch.zeros(7))
            for budget in (1, 2_000_000):
                found = _trace(network, *(3 * points(2, 7, seed=seed + 2)), budget=budget)
                assert int(found.crossings) > 30
                assert found.flips_by_operation.tolist() == [[2 * int(found.crossings), 0]]
                assert found.segments[0].start_pattern[1].tolist() == [1] * 100 + [0] * 100


@cache
def _wide() -> tuple[nn.Module, transect.Network]:
    module = perceptron(50, 1024, 1024, 1024, 10, bias=False)
    return module, transect.capture(module, torch.zeros(50))


@pytest.mark.parametrize("budget", [1, 50_000, 2_000_000])
@pytest.mark.parametrize(("far", "t"), [(-1.0, 1 / 2), (-3.0, 1 / 4), (-1e-3, 1 / 1.001), (-1e6, 1 / (1 + 1e6))])
def test_a_wide_network_without_biases_through_the_origin(far: float, t: float, budget: int):
    """All 3,072 hyperplanes meet in the origin: one knot, with every flip between the patterns of the two ends."""
    module, network = _wide()
    x = points(1, 50, seed=3)[0]
    found = _trace(network, x, far * x, budget=budget)
    assert found.segments[0].t.tolist() == pytest.approx([0, t, 1], rel=1e-12)
    before, after = (preactivations(module, end.unsqueeze(0)) for end in (x, far * x))
    changed = [int(((a > 0) != (b > 0)).sum()) for a, b in zip(before, after, strict=True)]
    assert changed[0] == 1024
    assert found.flips_by_operation.tolist() == [changed]
    assert found.unresolved == ()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_all_units_through_one_point_that_is_not_the_origin(depth: int):
    """First-layer biases put every hyperplane through p, in floating point: one knot at p, a third of the way."""
    with exported_once():
        for distance in (1.0, 1e3, 1e6):
            module = perceptron(30, *[300] * depth, 4, bias=False)
            p, direction = distance * points(1, 30, seed=1)[0], points(1, 30, seed=2)[0]
            module[0] = linear(module[0].weight, -(module[0].weight @ p))
            found = _trace(module, p - direction, p + 2 * direction, verify=distance < 1e6)
            assert found.crossings.tolist() == [1]
            assert float(found.segments[0].t[1]) == pytest.approx(1 / 3, abs=1e-14 * (1 + distance))
            assert int(found.flips_by_operation[0, 0]) == 300


@pytest.mark.parametrize("normalise", [None, (0.5, 0.25), (0.47, 0.24)], ids=str)
def test_ties_on_translation_circles(normalise: tuple[float, float] | None):
    """Shifted windows of an image meet the same weights, so that units tie bit for bit."""
    tied = 0
    with exported_once():
        for seed in range(5):
            path, cases = _circle(np.random.default_rng(seed), normalise)
            network, exact = captured(cases[0]), [restrict(case) for case in cases]
            for budget in (1, 2_000_000):
                found = transect.trace(network, path, budget=budget)
                for segment, one in zip(found.segments, exact, strict=True):
                    assert_same(segment, one)
            tied += int(found.flips.sum() - found.crossings.sum())
    assert tied > 0


def _circle(random: np.random.Generator, normalise: tuple[float, float] | None) -> tuple[transect.Path, list[Case]]:
    """A circle of an image whose upper rows are alike, through a small ConvNet."""
    image = torch.from_numpy(random.integers(0, 8, (1, 6, 6)) / 8)
    image[:, :4] = image[:, :1].clone()
    path = translation_circle(image, radius=2, anchors=6, normalise=normalise)
    steps = (Convolution((0,), random.standard_normal((2, 1, 3, 3)), random.standard_normal(2) / 4), Relu((1,)),
             Flatten((2,)), Linear((3,), random.standard_normal((6, 32)), random.standard_normal(6)), Relu((4,)),
             Linear((5,), random.standard_normal((2, 6)), None))  # fmt: skip
    ends = zip(path.starts.numpy(), path.ends.numpy(), strict=True)
    return path, [Case("circle", steps, start, end) for start, end in ends]


def test_equal_windows_cross_at_bitwise_equal_places():
    """A convolution over stripes: every row of units is a copy of the first, so each knot carries a whole column."""
    random = np.random.default_rng(0)
    start, end = (np.broadcast_to(random.standard_normal((1, 1, 12)), (1, 6, 12)).copy() for _ in range(2))
    case = Case("stripes", (Convolution((0,), random.standard_normal((3, 1, 3, 3)), None), Relu((1,))), start, end)
    found = transect.trace(captured(case), path_of(case))
    assert_same(found.segments[0], restrict(case))
    assert {len(flips) for flips in flips_by_knot(found.segments[0]).values()} == {4}


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_the_scale_of_the_values_does_not_matter(scale: float):
    """Products of signs would underflow or overflow here; comparisons do not."""
    network, ends = _without_biases(), points(2, 6, seed=1)
    expected, found = _trace(network, *ends), _trace(network, *(scale * ends))
    assert int(expected.crossings) > 10
    torch.testing.assert_close(found.segments[0].t, expected.segments[0].t, rtol=0, atol=1e-12)
    assert flips_by_knot(found.segments[0]) == flips_by_knot(expected.segments[0])


@cache
def _without_biases() -> transect.Network:
    return transect.capture(perceptron(6, 40, 30, 3, bias=False), torch.zeros(6))


def test_an_input_that_only_moves_in_one_coordinate():
    """Units that do not read the coordinate are constant, those that do are hinges at known places."""
    module = nn.Sequential(linear([[1.0, 1.0], [0.0, 1.0], [-2.0, 0.0]], [0.25, 0.0, 1.0]), nn.ReLU())
    found = _trace(module, [-1.0, 0.0], [1.0, 0.0])
    assert found.segments[0].t.tolist() == [0, 3 / 8, 3 / 4, 1]
    assert flips_by_knot(found.segments[0]) == {1: [(0, 0, 0, 1)], 2: [(0, 2, 1, 0)]}
    assert found.segments[0].start_pattern[0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("length", [1e-11, 1e-9, 1e-3, 1e6])
def test_hinges_on_very_short_and_very_long_segments(length: float):
    """One unit for each third of the segment, wherever the segment lies and however short it is."""
    case = _thirds(length)
    found = transect.trace(captured(case), path_of(case))
    assert found.crossings.tolist() == [2]
    assert_same(found.segments[0], restrict(case))


def test_what_rounding_cannot_decide_is_reported():
    """So short that the units' values along the whole segment are nothing but rounding."""
    case = _thirds(3e-15)
    with pytest.warns(UnresolvedWarning):
        found = transect.trace(captured(case), path_of(case))
    assert {place.unit for place in found.unresolved} <= {0, 1}
    assert found.unresolved


def _thirds(length: float) -> Case:
    start, along = points(1, 5)[0], points(1, 5, seed=1)[0]
    normal = torch.stack([along, -2 * along]) + 0.1 * points(2, 5, seed=2)
    places = start + length * along / 3 * torch.tensor([[1.0], [2.0]])
    bias = -(normal * places).sum(1)
    steps = (Linear((0,), normal.numpy(), bias.numpy()), Relu((1,)), Linear((2,), np.ones((1, 2)), np.ones(1)))
    return Case("thirds", steps, start.numpy(), (start + length * along).numpy())


def test_a_hinge_in_the_same_place_of_forty_layers():
    """relu composed with itself: every layer's unit is zero, hence inactive, until the first one wakes; one knot."""
    layers: list[nn.Module] = []
    for _ in range(40):
        layers += [linear([[1.0]]), nn.ReLU()]
    found = _trace(nn.Sequential(*layers), [-1.0], [2.0])
    assert found.segments[0].t.tolist() == [0, 1 / 3, 1]
    assert found.flips_by_operation.tolist() == [[1] * 40]
    assert flips_by_knot(found.segments[0])[1] == [(k, 0, 0, 1) for k in range(40)]


def test_constant_segments_of_values(recwarn: pytest.WarningsRecorder):
    """A unit that is zero all along a segment belongs to no region border, whatever happens downstream of it."""
    first = linear([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    second = linear([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, -1.0, 1.0]], [-0.5, 0.0, 0.0])
    module = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
    found = _trace(module, [-1.0, 0.0], [1.0, 0.0])
    assert found.segments[0].t.tolist() == [0, 0.5, 0.75, 1]
    assert flips_by_knot(found.segments[0]) == {1: [(0, 0, 0, 1)], 2: [(1, 0, 0, 1)]}
    assert not recwarn.list


@pytest.mark.parametrize("distance", [0.0, 1e6])
def test_outputs_that_are_small_differences_are_no_disagreement(distance: float):
    """Where the model itself rounds to worse than 1e-10 of its outputs, so may the trace."""
    p, length = (distance, 5.0) if distance else (1.0, 1e-9)
    weight, direction = points(20, 5, seed=2), length * points(1, 5, seed=1)[0]
    start = p * points(1, 5)[0]
    module = nn.Sequential(linear(weight, -(weight @ (start + direction / 3))), nn.ReLU(), linear(points(2, 20)))
    assert _trace(module, start, start + direction).crossings.tolist() == [1]


class _Normalised(nn.Module):
    """h = relu(|x| - 1) over two units, normalised so that h = 0 gives exactly 0: n = (h - m) / 3 + m / 3."""

    def __init__(self, m: float) -> None:
        super().__init__()
        self.first, self.second = linear([[1.0], [-1.0]], [-1.0, -1.0]), linear([[1.0, 1.0]])
        self.norm, self.third = nn.BatchNorm1d(1, eps=0.0).double().eval(), linear([[1.0]])
        with torch.no_grad():
            self.norm.running_mean.fill_(m)
            self.norm.running_var.fill_(9.0)
            self.norm.bias.fill_(m / 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(torch.relu(self.norm(self.second(torch.relu(self.first(x))))))


def test_a_unit_that_is_zero_but_for_rounding_is_zero_and_named():
    """Zero over the whole middle piece: noise above zero there makes no active unit, and is reported."""
    named = 0
    with exported_once():
        for m in torch.linspace(0.1, 0.9, 23, dtype=torch.float64).tolist():
            network = transect.capture(_Normalised(m), torch.zeros(1, dtype=torch.float64))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnresolvedWarning)
                found = _trace(network, [-3.0], [3.0])
            assert found.segments[0].t.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
            flips = flips_by_knot(found.segments[0])
            assert flips == {1: [(0, 1, 1, 0), (1, 0, 1, 0)], 2: [(0, 0, 0, 1), (1, 0, 0, 1)]}
            named += bool(found.unresolved)
    assert 0 < named < 23, "no network with noise above zero, or none without"
