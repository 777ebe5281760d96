"""What must hold exactly whatever the network: changes of the path, or of the network, that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import transect
from support.against import flips_by_knot
from support.models import linear, perceptron, points, residual_network

CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "perceptron": (lambda: perceptron(12, 40, 30, 4), 2 * points(4, 12)),
    "residual network": (residual_network, 0.7 * points(3, 3, 8, 8, seed=2)),
}
MEASURES = ("absolute_deviation", "deviation_norm", "total_variation", "excess_variation", "arc_length",
            "slope_similarity", "slope_similarity_weighted")  # fmt: skip
COUNTS = ("crossings", "flips", "linear_crossings", "undecided_crossings", "slope_pairs_left_out")

pytestmark = pytest.mark.filterwarnings("ignore::transect.errors.RoundingWarning")


@cache
def _network(name: str) -> transect.Network:
    build, anchors = CASES[name]
    return transect.capture(build(), anchors[0])


@cache
def _trace(name: str) -> transect.Trace:
    return transect.trace(_network(name), transect.Path(CASES[name][1]))


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("far", [0.0, 100.0])
def test_an_affine_network_deviates_nowhere(far: float):
    """Its deviation, excess variation and deviation norm are zero within the rounding they state, wherever it is."""
    module = nn.Sequential(linear(points(20, 6), points(20)), linear(points(3, 20, seed=1)))
    found = transect.trace(module, transect.Path(far + points(6, 6, seed=2), closed=True))
    assert found.crossings.tolist() == [0] * 6
    for measure in ("absolute_deviation", "deviation_norm", "excess_variation"):
        assert bool((found.reduced[measure].value <= found.rounding(measure)).all()), measure
    ends = (found.end - found.start).abs()
    torch.testing.assert_close(found.total_variation(), ends)


def test_a_network_that_is_affine_where_the_path_lies_deviates_nowhere():
    """ReLUs that are all on, or all off, along the path: as if they were not there."""
    module = nn.Sequential(linear(points(20, 6), [100.0, -100.0] * 10), nn.ReLU(), linear(points(3, 20, seed=1)))
    found = transect.trace(module, transect.Path(points(4, 6, seed=2), closed=True))
    assert found.crossings.tolist() == [0] * 4
    assert bool((found.reduced["absolute_deviation"].value <= found.rounding("absolute_deviation")).all())


@pytest.mark.parametrize("at", [0.5, 0.3])
def test_splitting_keeps_knots_variation_and_arc_length(name: str, at: float):
    whole = _trace(name)
    anchors = [whole.path.anchors[0]]
    for start, end in zip(whole.path.starts, whole.path.ends, strict=True):
        anchors += [torch.lerp(start, end, at), end]
    parts = transect.trace(_network(name), transect.Path(torch.stack(anchors)))
    for measure in ("crossings", "flips", "linear_crossings", "length", "total_variation", "arc_length"):
        one, halves = _value(whole, measure), _value(parts, measure)
        torch.testing.assert_close(halves[::2] + halves[1::2], one, rtol=1e-12, atol=0)
    assert parts.anchor_crossings == whole.anchor_crossings
    for number, segment in enumerate(whole.segments):
        left, right = parts.segments[2 * number : 2 * number + 2]
        joined = torch.cat([at * left.t[:-1], at + (1 - at) * right.t[1:]])
        torch.testing.assert_close(joined, segment.t, rtol=0, atol=1e-12)


def test_splitting_at_a_knot_moves_its_crossing_to_the_anchor(name: str):
    whole = _trace(name)
    start, end, segment = whole.path.starts[0], whole.path.ends[0], whole.segments[0]
    ends = [0.0, *segment.t[len(segment.t) // 2 : len(segment.t) // 2 + 1].tolist(), 1.0]
    parts = transect.trace(_network(name), transect.Path(torch.stack([torch.lerp(start, end, t) for t in ends])))
    assert parts.path_crossings == int(whole.crossings[0])
    assert int(parts.crossings.sum()) in (int(whole.crossings[0]), int(whole.crossings[0]) - 1)


def test_reversal_mirrors_the_knots_and_changes_no_measure(name: str):
    there = _trace(name)
    back = transect.trace(_network(name), transect.Path(there.path.anchors.flip(0)))
    for measure in (*MEASURES, *COUNTS):
        expected = _value(there, measure)
        torch.testing.assert_close(_value(back, measure).flip(0), expected, rtol=1e-11, atol=_rounding(there, measure))
    assert back.anchor_crossings == there.anchor_crossings
    for one, other in zip(there.segments, reversed(back.segments), strict=True):
        torch.testing.assert_close(1 - other.t.flip(0), one.t, rtol=0, atol=1e-12)
        mirrored = {len(other.t) - 1 - knot: sorted((k, u, after, before) for k, u, before, after in flips)
                    for knot, flips in flips_by_knot(other).items()}  # fmt: skip
        assert mirrored == {knot: sorted(flips) for knot, flips in flips_by_knot(one).items()}


def test_a_closed_path_may_start_anywhere():
    network, anchors = _network("perceptron"), CASES["perceptron"][1]
    first, other = (transect.trace(network, transect.Path(anchors.roll(k, 0), closed=True)) for k in (0, 1))
    assert other.crossings.roll(-1).tolist() == first.crossings.tolist()
    assert other.anchor_crossings == first.anchor_crossings
    torch.testing.assert_close(other.absolute_deviation().roll(-1, 0), first.absolute_deviation())


def test_variation_is_at_least_the_change_and_arc_length_at_least_the_distance(name: str):
    found = _trace(name)
    change = (found.end - found.start).abs()
    variation, length = found.total_variation(), found.arc_length()
    assert bool((variation >= change * (1 - 1e-12)).all())
    torch.testing.assert_close(found.excess_variation(), variation - change)
    assert bool((length >= change.norm(dim=1) * (1 - 1e-12)).all())
    assert bool((length <= variation.sum(1) * (1 + 1e-12)).all())
    assert bool((length >= variation.amax(1) * (1 - 1e-12)).all())


def test_the_deviation_norm_lies_between_the_largest_and_the_sum_of_the_outputs_deviations(name: str):
    found = _trace(name)
    each, together = found.absolute_deviation(), found.deviation_norm()
    assert bool((together >= each.norm(dim=1) * (1 - 1e-12)).all())
    assert bool((together <= each.sum(1) * (1 + 1e-12)).all())


@pytest.mark.parametrize("binary", [True, False], ids=["powers of two", "any factors"])
def test_positive_rescaling_between_two_relu_layers_changes_neither_knots_nor_outputs(binary: bool):
    module = perceptron(12, 40, 30, 4)
    random = torch.Generator().manual_seed(0)
    exponents = 6 * torch.randn(40, generator=random, dtype=torch.float64)
    factors = 2.0 ** (exponents.round() if binary else exponents)
    rescaled = nn.Sequential(
        linear(factors.unsqueeze(1) * module[0].weight.detach(), factors * module[0].bias.detach()),
        nn.ReLU(),
        linear(module[2].weight.detach() / factors, module[2].bias.detach()),
        *module[3:],
    )
    _assert_same_function(transect.trace(rescaled, _trace("perceptron").path), _trace("perceptron"))


def test_the_order_of_the_units_only_renames_them():
    module = perceptron(12, 40, 30, 4)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    shuffled = nn.Sequential(
        linear(module[0].weight.detach()[order], module[0].bias.detach()[order]),
        nn.ReLU(),
        linear(module[2].weight.detach()[:, order], module[2].bias.detach()),
        *module[3:],
    )
    found, expected = transect.trace(shuffled, _trace("perceptron").path), _trace("perceptron")
    for one, other in zip(found.segments, expected.segments, strict=True):
        assert torch.equal(one.start_pattern[0], other.start_pattern[0][order])
        first = one.flips.operation == 0
        assert torch.equal(order[one.flips.unit[first]], other.flips.unit[first])
        torch.testing.assert_close(one.t, other.t, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [0.25, 8.0])
def test_scaling_the_outputs_scales_the_measures_and_keeps_the_knots(factor: float):
    module = perceptron(12, 40, 30, 4)
    scaled = nn.Sequential(*module[:-1], linear(factor * module[-1].weight.detach(), factor * module[-1].bias.detach()))
    found, expected = transect.trace(scaled, _trace("perceptron").path), _trace("perceptron")
    for one, other in zip(found.segments, expected.segments, strict=True):
        assert torch.equal(one.t, other.t)
    torch.testing.assert_close(found.absolute_deviation(), factor * expected.absolute_deviation())
    torch.testing.assert_close(found.arc_length(), factor * expected.arc_length())
    torch.testing.assert_close(found.slope_similarity(), expected.slope_similarity())


def test_an_affine_function_added_to_the_outputs_changes_no_deviation():
    """f + A x + b bends where f bends; only the variation sees the difference."""
    module = perceptron(12, 40, 30, 4)
    added = Tilted(module, linear(5 * points(4, 12, seed=8), points(4, seed=9)))
    found, expected = transect.trace(added, _trace("perceptron").path), _trace("perceptron")
    assert torch.equal(found.crossings, expected.crossings)
    torch.testing.assert_close(found.absolute_deviation(), expected.absolute_deviation(), rtol=1e-10, atol=0)
    torch.testing.assert_close(found.deviation_norm(), expected.deviation_norm(), rtol=1e-10, atol=0)
    assert not torch.allclose(found.total_variation(), expected.total_variation())


class Tilted(nn.Module):
    def __init__(self, bent: nn.Module, tilt: nn.Module) -> None:
        super().__init__()
        self.bent, self.tilt = bent, tilt

    def forward(self, x: Tensor) -> Tensor:
        return self.bent(x) + self.tilt(x)


@pytest.mark.parametrize("budget", [1, 3000, 10**9])
def test_how_rows_are_cut_and_packed_changes_nothing(name: str, budget: int):
    """One by one with the ordinary budget, or all paths together with a small or a huge one."""
    network, anchors = _network(name), CASES[name][1]
    paths = [transect.Path(anchors[:2]), transect.Path(anchors[1:].flip(0)), transect.Path(anchors[:2], closed=True)]
    for found, path in zip(transect.trace(network, paths, budget=budget), paths, strict=True):
        expected = transect.trace(network, path)
        _assert_same_function(found, expected)
        assert found.anchor_crossings == expected.anchor_crossings
        for measure in MEASURES:
            torch.testing.assert_close(
                _value(found, measure), _value(expected, measure), rtol=1e-11, atol=_rounding(expected, measure)
            )


def test_what_is_kept_changes_no_measure(name: str):
    every, measured = _trace(name), transect.trace(_network(name), _trace(name).path, keep="measures")
    for measure in (*MEASURES, *COUNTS):
        assert torch.equal(_value(every, measure), _value(measured, measure)), measure


def test_segments_agree_with_the_counts_and_with_one_another(name: str):
    found = _trace(name)
    for number, segment in enumerate(found.segments):
        assert segment.t[[0, -1]].tolist() == [0, 1]
        assert bool((segment.t.diff() > 0).all())
        assert len(segment.t) == int(found.regions[number]) + 1
        assert sorted(flips_by_knot(segment)) == list(range(1, len(segment.t) - 1))
        assert (
            segment.flips.operation.bincount(minlength=len(found.units)).tolist()
            == found.flips_by_operation[number].tolist()
        )
    for left, right in pairwise(found.segments):
        torch.testing.assert_close(left.outputs[-1], right.outputs[0], rtol=1e-12, atol=1e-12)


def _assert_same_function(found: transect.Trace, expected: transect.Trace) -> None:
    for one, other in zip(found.segments, expected.segments, strict=True):
        torch.testing.assert_close(one.t, other.t, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.outputs, other.outputs, rtol=0, atol=1e-12 * float(other.outputs.abs().max()))
        assert flips_by_knot(one) == flips_by_knot(other)
        assert all(torch.equal(a, b) for a, b in zip(one.start_pattern, other.start_pattern, strict=True))


def _value(found: transect.Trace, measure: str) -> Tensor:
    return found.reduced[measure].value if measure in found.reduced else getattr(found, measure)


def _rounding(found: transect.Trace, measure: str) -> float:
    return 2 * float(found.rounding(measure).max()) if measure in found.reduced else 0.0
