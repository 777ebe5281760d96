from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import transect
from transect.errors import InvalidInput

CHECKS = 3  # rows by which a plain function of a path of two anchors is checked: both together, one alone


def _mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 4)).double()


@pytest.fixture(scope="module")
def network() -> transect.Network:
    return transect.capture(_mlp(), torch.zeros(6))


def _paths(count: int) -> list[transect.Path]:
    generator = torch.Generator().manual_seed(1)
    return [transect.Path(3 * torch.randn(5, 6, generator=generator, dtype=torch.float64), True) for _ in range(count)]


class Recorder:
    """A function of one number that notes down every point it is asked for."""

    def __init__(self) -> None:
        self.points: list[float] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.points += x[:, 0].tolist()
        return torch.sin(23 * x)


def test_no_point_is_evaluated_twice():
    recorder = Recorder()
    found = transect.estimate(recorder, transect.Path([[0.0], [1.0]]), rtol=1e-4)
    sampled = recorder.points[CHECKS:]
    intervals = found.samples.item() - 1
    assert intervals > 64
    assert sorted(sampled) == [k / intervals for k in range(intervals + 1)]


def test_segments_stop_one_by_one():
    def rough_above_one(x: Tensor) -> Tensor:
        return x + torch.relu(x - 1) * torch.sin(40 * x)

    found = transect.estimate(rough_above_one, transect.Path([[0.0], [1.0], [2.0]]))
    assert found.samples[0] == 17
    assert found.samples[1] > 17


@pytest.mark.parametrize(("most", "taken"), [(17, 17), (32, 17), (33, 33), (100, 65)])
def test_never_more_samples_than_allowed_and_says_so(network, most: int, taken: int):
    found = transect.estimate(network, _paths(1)[0], rtol=0, max_samples=most)
    assert found.samples.tolist() == [taken] * 5
    assert found.converged.tolist() == [False] * 5
    assert "5 segments not converged" in repr(found)


def test_the_limit_goes_with_the_flips_where_none_is_given(network):
    path = _paths(1)[0]
    assert transect.estimate(network, path, rtol=0).samples.tolist() == [129] * 5
    assert transect.estimate(lambda x: torch.sin(9 * x), path, rtol=0).samples.max() == 1025


def test_a_finer_tolerance_takes_more_samples_and_is_nearer(network):
    path = _paths(1)[0]
    exact = transect.trace(network, path).absolute_deviation()
    coarse, fine = (transect.estimate(network, path, rtol=rtol, max_samples=4097) for rtol in (1e-2, 1e-4))
    assert bool((fine.samples > coarse.samples).all())
    errors = [(found.absolute_deviation() - exact).abs().max() for found in (coarse, fine)]
    assert errors[1] < errors[0] / 4


def _assert_same(one: transect.Estimate, other: transect.Estimate) -> None:
    assert torch.equal(one.samples, other.samples)
    assert torch.equal(one.counts, other.counts)
    for name, found in one.estimates.items():
        torch.testing.assert_close(found.interval, other.estimates[name].interval, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("budget", [1, 3_000, 10**8])
def test_packs_and_batches_do_not_matter(network, budget: int):
    paths = _paths(3)
    for path, found in zip(paths, transect.estimate(network, paths, budget=budget), strict=True):
        _assert_same(found, transect.estimate(network, path))


def test_the_same_bits_every_time():
    model, paths = _mlp().float(), _paths(1)
    for one, other in zip(transect.estimate(model, paths), transect.estimate(model, paths), strict=True):
        assert all(torch.equal(found.interval, other.estimates[name].interval) for name, found in one.estimates.items())


def test_part_of_a_path_and_some_outputs(network):
    path = _paths(1)[0]
    part = transect.estimate(network, path, between=(0.5, 2), outputs=[3, -4])
    exact = transect.trace(network, path, between=(0.5, 2), outputs=[3, -4])
    assert part.outputs == (3, 0)
    torch.testing.assert_close(part.length, exact.length)
    torch.testing.assert_close(part.start, exact.start)
    torch.testing.assert_close(part.end, exact.end)
    torch.testing.assert_close(part.absolute_deviation(), exact.absolute_deviation(), rtol=1e-2, atol=0)


def test_the_callers_gradient_mode_and_module_stay_as_they_were():
    model = _mlp()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InvalidInput):
        transect.estimate(lambda x: x * torch.nan, _paths(1)[0])
    transect.estimate(model, _paths(1)[0])
    assert torch.is_grad_enabled()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
