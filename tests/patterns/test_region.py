"""Linear regions: their affine map against automatic differentiation, their borders against the trace's knots."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import transect
from oracle.rational import restrict
from support.pattern_cases import CASES, PatternCase, random_case, traced, traced_case
from transect.errors import InvalidInput, RegionTooLarge
from transect.patterns import Region
from transect.tracing.result import PathRegion

WIDE = 1e-6


def _regions(case: PatternCase, every: int = 7) -> list[tuple[PathRegion, Region, Tensor]]:
    """Some regions along a path, none of them narrow, with the direction of their segment."""
    network, trace = traced(case)
    ends = zip(trace.path.starts, trace.path.ends, strict=True)
    directions = [end - start for start, end in ends]
    found = [trace.region(s, k) for s in range(len(directions)) for k in range(0, int(trace.regions[s]), every)]
    return [(one, one.of(network), directions[one.segment]) for one in found if one.t[1] - one.t[0] > WIDE]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_affine_map_is_the_module_and_its_derivative(case: PatternCase):
    module = case.module()
    for visit, region, direction in _regions(case):
        x = visit.middle
        jacobian = torch.autograd.functional.jacobian(lambda x: module(x.unsqueeze(0))[0], x)
        value = module(x.unsqueeze(0)).detach()
        found = region.affine_map()
        torch.testing.assert_close(found.jacobian, jacobian)
        torch.testing.assert_close(found.jacobian.flatten(1) @ x.flatten() + found.offset, value[0])
        torch.testing.assert_close(region(x), value)
        torch.testing.assert_close(region.slope(direction), jacobian.flatten(1) @ direction.flatten())
        torch.testing.assert_close(visit.slope, region.slope(direction), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("seed", range(6))
def test_slopes_are_those_of_rational_arithmetic(seed: int):
    case = random_case(seed)
    exact, (network, trace) = restrict(case), traced_case(case)
    direction = torch.from_numpy(case.end) - torch.from_numpy(case.start)
    for index, piece in enumerate(exact.pieces):
        region = trace.region(0, index).of(network)
        slope = torch.tensor([float(number) for number in piece.output.slope.fractions()], dtype=torch.float64)
        scale = float(region.affine_map().jacobian.abs().max()) * float(direction.norm())
        torch.testing.assert_close(region.slope(direction), slope, rtol=1e-9, atol=1e-11 * scale)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_inequalities_hold_inside_and_end_at_the_next_knot(case: PatternCase):
    for visit, region, direction in _regions(case, every=13):
        found = region.inequalities()
        slack = found.bound - found.matrix @ visit.middle.flatten()
        moved = found.matrix.any(1)  # the others hold wherever the input is
        assert bool((slack[moved] > 0).all())
        assert bool((slack >= 0).all())
        rate = found.matrix @ direction.flatten()
        step = torch.where(rate > 0, slack / rate, math.inf)
        here = sum(visit.t) / 2
        if visit.t[1] < 1:
            assert here + float(step.min()) == pytest.approx(visit.t[1], abs=1e-12)
            _assert_it_is_what_flips(case, visit, found, int(step.argmin()))
        else:
            assert here + float(step.min()) > 1
        back = torch.where(rate < 0, slack / -rate, math.inf)
        if visit.t[0] > 0:
            assert here - float(back.min()) == pytest.approx(visit.t[0], abs=1e-12)


def _assert_it_is_what_flips(case: PatternCase, visit: PathRegion, found, first: int) -> None:
    flips = traced(case)[1].segments[visit.segment].flips
    at = flips.knot == visit.index + 1
    columns = (flips.operation[at], flips.unit[at], flips.after[at])
    expected = set(zip(*(column.tolist() for column in columns), strict=True))
    assert (int(found.operation[first]), int(found.unit[first]), int(found.piece[first])) in expected


def test_there_is_an_inequality_for_every_border_of_a_piece():
    region = _regions(CASES[1])[0][1]
    first = region.pattern.units[0]
    assert len(region.inequalities(0)) == first
    numbers = 2 + 3 + 3 + 3  # in the four windows along each axis: the first reaches over the border
    assert len(region.inequalities(1)) == 3 * (numbers**2 - 4**2)
    assert len(region.inequalities(3)) == 3 * region.pattern.units[3]
    assert torch.equal(region.inequalities(0).piece, 1 - region.pattern.pieces(0).long())


def test_chosen_inequalities_are_those_rows():
    region = _regions(CASES[2])[0][1]
    names, every = region.pattern.operations, region.inequalities()
    for chosen, rows in (
        ((names[1],), every.operation == 1),
        (([names[0], -1],), (every.operation == 0) | (every.operation == len(names) - 1)),
        ((names[1], [3, -1]), (every.operation == 1) & ((every.unit == 3) | (every.unit == 63))),
    ):
        found = region.inequalities(*chosen)
        torch.testing.assert_close(found.matrix, every.matrix[rows])
        torch.testing.assert_close(found.bound, every.bound[rows])
        assert torch.equal(found.unit, every.unit[rows])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parts_are_the_whole_whichever_way_gradients_are_taken(case: PatternCase):
    region = _regions(case)[0][1]
    whole = region.inequalities()
    for chunk_bytes in (1, 8 * 5 * math.prod(case.shape)):
        parts = list(region.iter_inequalities(chunk_bytes=chunk_bytes))
        assert max(map(len, parts)) == max(1, chunk_bytes // (8 * math.prod(case.shape)))
        for name in ("matrix", "bound", "operation", "unit", "piece"):
            torch.testing.assert_close(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_chosen_outputs_are_those_rows():
    region = _regions(CASES[0])[0][1]
    every, some = region.affine_map(), region.affine_map([2, -4])
    torch.testing.assert_close(some.jacobian, every.jacobian[[2, 0]])
    torch.testing.assert_close(some.offset, every.offset[[2, 0]])


def test_a_region_contains_the_points_that_satisfy_its_inequalities():
    case = CASES[0]
    region = transect.capture(case.module(), torch.zeros(3)).region(case.points(1)[0])
    x = case.points(2000).mul(0.2) + case.points(1)
    found = region.inequalities()
    inside = (x @ found.matrix.T < found.bound).all(1)
    assert 0 < int(inside.sum()) < 2000
    assert torch.equal(region.contains(x), inside)
    assert bool(region.contains(x[inside][0]))


def test_thresholds_and_slopes_of_every_kind():
    class Bent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high = nn.Buffer(-torch.rand(6)), nn.Buffer(torch.rand(6) + 0.1)
            self.slopes = nn.PReLU(6)
            nn.init.normal_(self.slopes.weight)

        def forward(self, x: Tensor) -> Tensor:
            functional = nn.functional
            parts = [torch.clamp(x, self.low, self.high), self.slopes(x), functional.hardsigmoid(3 * x), x.abs(),
                     functional.relu6(5 * x), functional.threshold(x, -0.3, -0.3), functional.leaky_relu(x, -0.4),
                     torch.clamp(x, min=-math.inf, max=0.2), torch.minimum(x, self.high), x * (x > 0)]  # fmt: skip
            return torch.cat(parts, 1)

    torch.manual_seed(0)
    module = Bent().double()
    network = transect.capture(module, torch.zeros(6))
    for x in torch.randn(8, 6, dtype=torch.float64):
        found = network.region(x).affine_map()
        jacobian = torch.autograd.functional.jacobian(lambda x: module(x.unsqueeze(0))[0], x)
        torch.testing.assert_close(found.jacobian, jacobian, rtol=1e-7, atol=0)  # torch's hardsigmoid knows 1/6 so well
        value = module(x.unsqueeze(0))[0]
        torch.testing.assert_close(found.jacobian @ x + found.offset, value, rtol=1e-14, atol=1e-14)


def test_gradients_pass_through_values_written_into_constants():
    class Writing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.zeros(x.size(0), 4, dtype=x.dtype)
            y[:, 1:3] = x.relu()
            return y

    region = transect.capture(Writing(), torch.zeros(2)).region([1.0, -1.0])
    assert region.affine_map().jacobian.tolist() == [[0, 0], [1, 0], [0, 0], [0, 0]]
    assert region.inequalities().matrix.tolist() == [[-1, 0], [0, 1]]


def test_an_affine_network_is_one_region_without_borders():
    module = nn.Linear(3, 2).double()
    region = transect.capture(module, torch.zeros(3)).region([1.0, 2.0, 3.0])
    torch.testing.assert_close(region.affine_map().jacobian, module.weight.detach())
    torch.testing.assert_close(region.affine_map().offset, module.bias.detach())
    assert len(region.inequalities()) == 0
    assert list(region.iter_inequalities()) == []
    assert bool(region.contains([7.0, 8.0, 9.0]))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_the_gradient_mode_of_the_caller_does_not_matter(mode):
    network, x = traced(CASES[2])[0], CASES[2].points(1)[0]
    expected = network.region(x).affine_map()
    with mode():
        found = network.region(x).affine_map()
    assert not found.jacobian.requires_grad
    assert torch.equal(found.jacobian, expected.jacobian)
    assert bool(found.jacobian.any())


def test_a_network_in_float32_has_regions_in_float32():
    module, x = CASES[1].module().float(), CASES[1].points(1)[0].float()
    region = transect.capture(module, x, dtype=torch.float32).region(x)
    jacobian = torch.autograd.functional.jacobian(lambda x: module(x.unsqueeze(0))[0], x)
    torch.testing.assert_close(region.affine_map().jacobian, jacobian)
    assert region.inequalities().matrix.dtype == region.inequalities().bound.dtype == torch.float32


def _region() -> Region:
    return traced(CASES[2])[0].region(CASES[2].points(1)[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda r: traced(CASES[2])[0].region(CASES[2].points(2)),
            "one input, or the pattern of one point, got Pattern",
        ),
        (lambda r: traced(CASES[0])[0].region(r.pattern), "networks of the same architecture"),
        (lambda r: r.affine_map([3]), r"outputs: expected indices below 3, got \[3\]"),
        (lambda r: r.affine_map(1), "outputs: expected a sequence of whole numbers"),
        (lambda r: r.inequalities("relu"), "operation: expected one of bends.0"),
        (lambda r: r.inequalities(units=[0]), "units: expected one operation to choose them of, got 5"),
        (lambda r: r.inequalities(0, [64]), r"units: expected indices below 64, got \[64\]"),
        (lambda r: r.slope(torch.zeros(2)), r"direction: expected one input of shape \(2, 4, 4\)"),
        (lambda r: r.contains(torch.zeros(2)), r"x: expected one input of shape \(2, 4, 4\)"),
    ],
)
def test_errors_say_what_was_expected(wrong, message: str):
    with pytest.raises(InvalidInput, match=message):
        wrong(_region())


def test_what_does_not_fit_is_refused_with_the_remedy():
    with pytest.raises(
        RegionTooLarge, match=r"Choose operations=\[...\] or units=\[...\] of one, go through them with"
    ):
        _region().inequalities(max_bytes=1000)
    with pytest.raises(RegionTooLarge, match=r"3 outputs by 32 inputs takes more than 500 bytes. Choose some outputs"):
        _region().affine_map(max_bytes=500)
    assert len(_region().inequalities(0, [0, 1], max_bytes=1000)) == 2
