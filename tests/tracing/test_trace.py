from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch
from torch import Tensor, nn

import transect
from transect.errors import InvalidInput, RoundingWarning, TraceTooLarge, VerificationError
from transect.rules import Affine


def _mlp(seed: int = 0, bias: bool = True) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Linear(6, 40, bias), nn.ReLU(), nn.Linear(40, 30, bias), nn.ReLU(), nn.Linear(30, 4, bias)]
    return nn.Sequential(*layers).double()


def _paths(count: int, closed: bool = True) -> list[transect.Path]:
    generator = torch.Generator().manual_seed(1)
    return [
        transect.Path(3 * torch.randn(5, 6, generator=generator, dtype=torch.float64), closed) for _ in range(count)
    ]


def _same(one: transect.Trace, other: transect.Trace) -> None:
    assert torch.equal(one.crossings, other.crossings)
    assert torch.equal(one.flips_by_operation, other.flips_by_operation)
    assert one.anchor_crossings == other.anchor_crossings
    for name, found in one.reduced.items():
        torch.testing.assert_close(found.value, other.reduced[name].value, rtol=1e-9, atol=1e-11, equal_nan=True)


@pytest.mark.parametrize("budget", [1, 500, 10_000])
def test_many_paths_together_are_the_paths_one_by_one(budget: int):
    network, paths = transect.capture(_mlp(), torch.zeros(6)), _paths(7)
    together = transect.trace(network, paths, keep="measures", budget=budget)
    for path, found in zip(paths, together, strict=True):
        _same(found, transect.trace(network, path))


def test_segments_are_the_same_however_rows_are_cut():
    network, path = transect.capture(_mlp(), torch.zeros(6)), _paths(1)[0]
    whole, cut = (transect.trace(network, path, budget=budget) for budget in (10**7, 1))
    for one, other in zip(whole.segments, cut.segments, strict=True):
        torch.testing.assert_close(one.t, other.t, rtol=0, atol=1e-13)
        assert all(torch.equal(a, b) for a, b in zip(one.start_pattern, other.start_pattern, strict=True))
        assert _flip_sets(one.flips) == _flip_sets(other.flips)


def _flip_sets(flips) -> set[tuple[int, ...]]:
    columns = (flips.knot, flips.operation, flips.unit, flips.before, flips.after)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_a_stream_shows_what_a_trace_keeps():
    network, path = transect.capture(_mlp(), torch.zeros(6)), _paths(1)[0]
    kept = transect.trace(network, path)
    knots: list[tuple[int, float]] = []
    flips = 0
    for run in transect.stream(network, path, budget=300):
        fresh = slice(2 if run.fresh else 0, None)
        knots += zip(run.segment[fresh].tolist(), run.t[fresh].tolist(), strict=True)
        flips += len(run.flips)
    expected = [(index, t) for index, segment in enumerate(kept.segments) for t in segment.t.tolist()]
    assert [segment for segment, _ in knots] == [segment for segment, _ in expected]
    assert [t for _, t in knots] == pytest.approx([t for _, t in expected], abs=1e-13)
    assert flips == int(kept.flips.sum())


def test_streaming_leaves_the_gradient_mode_of_the_caller():
    for _ in transect.stream(_mlp(), _paths(1)[0], budget=300):
        assert torch.is_grad_enabled()


def test_between_walks_only_a_stretch():
    network, path = transect.capture(_mlp(), torch.zeros(6)), _paths(1)[0]
    whole = transect.trace(network, path)
    stretch = transect.trace(network, path, between=(0.25, 2))
    inside = int((whole.segments[0].t[1:-1] > 0.25).sum()) + int(whole.crossings[1])
    assert int(stretch.crossings.sum()) == inside
    assert float(stretch.length.sum()) == pytest.approx(float(0.75 * whole.length[0] + whole.length[1]))


def test_chosen_outputs_are_those_columns():
    network, path = transect.capture(_mlp(), torch.zeros(6)), _paths(1)[0]
    every, chosen = transect.trace(network, path), transect.trace(network, path, outputs=[3, -4])
    torch.testing.assert_close(chosen.absolute_deviation(), every.absolute_deviation()[:, [3, 0]])
    assert chosen.outputs == (3, 0)


def test_the_kind_of_input_does_not_matter():
    model, path = _mlp(), _paths(1)[0]
    as_lists = transect.Path(path.anchors.tolist(), closed=True)
    as_arrays = transect.Path(path.anchors.numpy(), closed=True)
    expected = transect.trace(model, path)
    for other in (as_lists, as_arrays):
        assert torch.equal(transect.trace(model, other).crossings, expected.crossings)
    assert transect.capture(model, path.anchors[:2]).input_shape == transect.capture(model, [0.0] * 6).input_shape


def test_a_wrong_rule_is_found_by_verification():
    network = transect.capture(_mlp(), torch.zeros(6))
    wrong = [dataclasses.replace(instruction, operation=_shifted(instruction.operation))
             for instruction in network.program.instructions]  # fmt: skip
    program = dataclasses.replace(network.program, instructions=tuple(wrong))
    broken = dataclasses.replace(network, program=program)
    with pytest.raises(VerificationError, match="must not be used"):
        transect.trace(broken, _paths(1)[0])


def _shifted(operation):
    if not isinstance(operation, Affine):
        return operation
    return dataclasses.replace(operation, value=lambda x: operation.value(x) + 1e-6)


def test_what_does_not_fit_is_refused_with_the_remedy():
    with pytest.raises(TraceTooLarge, match='keep="measures"'):
        transect.trace(_mlp(), _paths(1)[0], max_bytes=1000)


def test_segments_are_not_there_when_only_measures_are_kept():
    found = transect.trace(_mlp(), _paths(1)[0], keep="measures")
    with pytest.raises(InvalidInput, match='keep="all"'):
        _ = found.segments


class _Straight(nn.Module):
    """``relu(h) - relu(-h)`` is h: knots where nothing bends."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)
        return torch.relu(h) - torch.relu(-h)


def test_a_measure_that_is_only_rounding_warns():
    with pytest.warns(RoundingWarning, match="not to be told from zero"):
        transect.trace(_Straight().double(), _paths(1)[0]).deviation_norm()


class _Lost(nn.Module):
    """``relu(x) * scale``, of which rounding leaves nothing, beside ``x`` times a slope."""

    def __init__(self, slope: float, dtype: torch.dtype, scale: float = 1.0) -> None:
        super().__init__()
        self.slope, self.scale = slope, scale
        self.tiny = 1e-17 if dtype == torch.float64 else 1e-9

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lost = (torch.relu(x) * self.tiny + 1) - 1
        return torch.cat([lost / self.tiny * self.scale, self.slope * x], 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("measure", ["absolute_deviation", "centred_deviation", "deviation_norm"])
@pytest.mark.parametrize(("slope", "warned"), [(0.0, True), (1.0, True), (1e9, False)])
def test_a_measure_of_exactly_zero_that_rounding_may_hide_warns(
    slope: float, warned: bool, measure: str, dtype: torch.dtype
):
    """The true deviation is a quarter; beside an output that varies by billions it is small indeed."""
    found = transect.trace(_Lost(slope, dtype), transect.Path([[-1.0], [1.0]]), dtype=dtype, verify=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert (getattr(found, measure)() == 0).all()
    assert any("exactly 0" in str(one.message) for one in caught) == warned


def test_an_ordinary_measure_does_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = transect.trace(_mlp(), _paths(1)[0])
        found.absolute_deviation(), found.total_variation(), found.arc_length()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_ordinary_zeros_do_not(dtype: torch.dtype):
    """Of affine and constant functions, and of a stretch so short that nothing bends there."""
    for model in (_mlp(), nn.Linear(6, 2), nn.Sequential(nn.Linear(6, 2), nn.Hardtanh(5, 6))):
        found = transect.trace(model, _paths(1)[0], between=(0, 0.01), dtype=dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*exactly 0")
            found.absolute_deviation(), found.excess_variation(), found.total_variation(), found.arc_length()


def test_measures_per_path_and_across_outputs():
    found = transect.trace(_mlp(), _paths(1)[0])
    deviation: Tensor = found.absolute_deviation()
    by_hand = sum(float(row.square().sum()) ** 0.5 for row in deviation)
    assert float(found.per_path(found.across_outputs(deviation))) == pytest.approx(by_hand)
    torch.testing.assert_close(found.mean_deviation(), deviation / found.path.lengths.unsqueeze(1))
    torch.testing.assert_close(found.normalised_deviation(2.0), found.mean_deviation() / 2)
    torch.testing.assert_close(found.per_length(deviation), deviation.sum(0) / found.path.length)
    assert bool((found.slope_pairs + found.slope_pairs_left_out == found.crossings).all())


def test_centred_outputs_do_not_know_a_common_shift():
    """The same network twice, once with one more function added to every output."""
    network, shifted = _mlp(), _mlp()
    with torch.no_grad():
        shifted[-1].weight += torch.linspace(-1, 1, 30, dtype=torch.float64)
    one, other = (transect.trace(model, _paths(1)[0]) for model in (network, shifted))
    torch.testing.assert_close(one.centred_deviation(), other.centred_deviation(), rtol=1e-10, atol=0)
    assert not torch.allclose(one.absolute_deviation(), other.absolute_deviation())
    by_hand = one.centred_deviation() / one.length.unsqueeze(1) / 3
    torch.testing.assert_close(one.normalised_deviation(3.0, centred=True), by_hand)


def test_outputs_that_overflow_are_no_result():
    network = transect.capture(_steep(), torch.zeros(6))
    with pytest.raises(VerificationError, match=r"overflow torch\.float64 .* shorter"):
        transect.trace(network, transect.Path(1e200 * _paths(1)[0].anchors), verify=False)
    with pytest.raises(InvalidInput, match=r"outputs at the example overflow torch\.float64"):
        transect.capture(_steep(), torch.full((6,), 1e200, dtype=torch.float64))


def _steep() -> nn.Module:
    model = _mlp()
    with torch.no_grad():
        model[2].weight *= 1e60
        model[4].weight *= 1e60
    return model


def test_anchor_crossings_are_those_of_the_patterns_beside_each_anchor():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU()).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
    # The first anchor lies on x = 0 and the path goes through; the second lies on y = 0 and the path turns back.
    path = transect.Path([[0.0, 2.0], [1.0, 0.0], [-1.0, 1.0]], closed=True)
    found = transect.trace(model, path)
    assert found.anchor_crossings == 1
    assert found.crossings.tolist() == [0, 1, 0]
    assert found.path_crossings == 2


def test_reports_how_it_was_verified():
    found = transect.trace(_mlp(), _paths(1)[0])
    assert found.verification.points > 0
    assert found.verification.relative_error < 1e-13
    assert found.verification.relative_to_deviation < 1e-12
    assert transect.trace(_mlp(), _paths(1)[0], verify=False).verification is None


def test_float32_is_close_to_float64():
    model, path = _mlp(), _paths(1)[0]
    exact, fast = transect.trace(model, path), transect.trace(model.float(), path, dtype=torch.float32)
    assert torch.equal(exact.crossings, fast.crossings)
    torch.testing.assert_close(exact.absolute_deviation(), fast.absolute_deviation(), rtol=1e-3, atol=0)
    for one, other in zip(exact.segments, fast.segments, strict=True):
        assert bool(((one.t - other.t).abs() <= other.t_error + 1e-12).all())


def test_anchors_in_another_order_of_memory_are_the_same_path():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 36, 3)).eval()
    images = torch.rand(2, 8, 8, 3, dtype=torch.float64).permute(0, 3, 1, 2)  # as they are read from files
    one, other = (transect.trace(model, transect.Path(anchors)) for anchors in (images, images.contiguous()))
    assert torch.equal(one.segments[0].t, other.segments[0].t)
    network = transect.capture(model, images)
    assert torch.equal(network(images), network(images.contiguous()))
