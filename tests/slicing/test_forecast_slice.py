"""Forecasts of slices against what then comes."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch import nn

import transect
from transect import forecast_slice
from transect.errors import InvalidInput, TraceTooLarge
from transect.slicing import forecasting, joining


def holds(guess, value) -> bool:
    return guess.low <= value <= guess.high


def mlp(inputs: int, *widths: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, 3)).eval()


def convolutional(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 10),
    ).eval()  # fmt: skip


def plane(*shape: int, seed: int = 0) -> transect.Plane:
    generator = torch.Generator().manual_seed(seed)
    return transect.Plane.through(*torch.randn(3, *shape, dtype=torch.float64, generator=generator))


@pytest.fixture
def by_chords(monkeypatch):
    """What is said is what the chords say, also of planes small enough to be sliced meanwhile."""
    monkeypatch.setattr(forecasting, "_ENOUGH_SECONDS", 0.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", ["mlp", "deep", "cnn"])
def test_regions_and_borders_are_in_their_ranges(by_chords, case, seed):
    model, where = {
        "mlp": lambda: (mlp(10, 200, seed=seed), plane(10, seed=seed)),
        "deep": lambda: (mlp(10, 60, 60, 60, seed=seed), plane(10, seed=seed)),
        "cnn": lambda: (convolutional(seed), plane(3, 8, 8, seed=seed)),
    }[case]()
    found = forecast_slice(model, where)
    sliced = transect.slice(model, where, keep="measures", verify=False)
    assert sliced.regions > 1000
    assert holds(found.regions, sliced.regions)
    assert found.border_length.low / 1.2 < sliced.border_length < found.border_length.high * 1.2
    assert found.regions.high < 12 * found.regions.low
    assert found.area == where.area


def test_lines_in_all_directions_meet_as_often_as_integral_geometry_says():
    """N lines that meet a disc, all alike: their length, crossings and regions are known on average."""
    count, radius, sides, most = 40, 1.0, 64, 5
    around = [
        (radius * math.cos(2 * math.pi * k / sides), radius * math.sin(2 * math.pi * k / sides)) for k in range(sides)
    ]
    disc = transect.Plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], around)
    random = torch.Generator().manual_seed(0)
    said, true = [], []
    for _ in range(most):
        angle, offset = 2 * math.pi * torch.rand(count, generator=random), torch.rand(count, generator=random)
        model = nn.Sequential(nn.Linear(2, count), nn.ReLU(), nn.Linear(count, 1))
        with torch.no_grad():
            model[0].weight.copy_(torch.stack([angle.cos(), angle.sin()], 1))
            model[0].bias.copy_(-offset)
            model[2].weight.copy_(torch.rand(1, count, generator=random) + 1)
        density = forecasting._density(transect.capture(model, torch.zeros(2)), disc, 50, 10**6, seed=1)
        said.append(forecasting._regions(disc, density).value)
        true.append(transect.slice(model, disc, keep="measures").regions)
    # lines through a disc: mean chord pi r / 2, and two of them meet in it with probability 1 / 2
    expected = 1 + count + count * (count - 1) / 4
    assert sum(true) / most == pytest.approx(expected, rel=0.1)
    assert sum(said) / most == pytest.approx(expected, rel=0.1)


def test_a_small_plane_is_counted():
    model, where = mlp(5, 20, 20), plane(5)
    found = forecast_slice(model, where)
    regions = transect.slice(model, where, verify=False).regions
    assert (found.regions.low, found.regions.value, found.regions.high) == (regions, regions, regions)


def test_an_affine_network_is_one_region():
    found = forecast_slice(nn.Linear(2, 1), transect.Plane.through([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]))
    assert found.regions.value == 1
    assert found.border_length.low == 0 < found.border_length.high


def test_bytes_are_those_that_are_held(by_chords, monkeypatch):
    seen = []
    original = joining.Keeper.joined
    monkeypatch.setattr(joining.Keeper, "joined", lambda self: seen.append(self._held) or original(self))
    for outputs in (None, [1]):
        found = forecast_slice(mlp(10, 200), plane(10), outputs=outputs)
        transect.slice(mlp(10, 200), plane(10), outputs=outputs, verify=False)
        assert holds(found.bytes_all, seen[-1])
    assert seen[1] < seen[0]
    assert 2**27 < found.bytes_measures < 2**29


@pytest.mark.slow
def test_time_within_a_factor():
    """Rough: the machine may be busy. What is asked is that nobody is misled by an order of magnitude."""
    model, where = mlp(20, 150, 150), plane(20)
    found = forecast_slice(model, where)
    began = time.perf_counter()
    transect.slice(model, where)
    seconds = time.perf_counter() - began
    assert found.seconds.low / 5 < seconds < found.seconds.high * 5


def test_a_person_reads_a_line():
    said = str(forecast_slice(mlp(5, 20), plane(5)))
    assert said.startswith("an area of ")
    assert " regions, " in said
    assert said.endswith(' MiB, and with keep="all" 0 MiB more')


def test_the_same_seed_says_the_same(by_chords):
    one, same, other = (forecast_slice(mlp(10, 100), plane(10), seed=seed).regions for seed in (3, 3, 4))
    assert one == same != other


def test_what_will_not_fit_is_refused_before_it_is_worked_out(monkeypatch):
    kept = []
    original = joining.Keeper.update
    monkeypatch.setattr(joining.Keeper, "update", lambda self, patch: (original(self, patch), kept.append(len(patch))))
    model, where = mlp(20, 100, 100), plane(20)
    regions = transect.slice(model, where, keep="measures", verify=False).regions
    needed = regions * forecasting._bytes_of_a_region(3)
    with pytest.raises(TraceTooLarge, match=r'keep="all" would hold more than .* regions, by what 4 chords cross. Use'):
        transect.slice(model, where, max_bytes=needed // 20, budget=10**4)
    assert sum(kept) < regions / 100
    assert transect.slice(model, where, max_bytes=2 * needed, verify=False).regions == regions
    with pytest.raises(
        TraceTooLarge, match=r'keep="all" would hold more than .* \(reached after'
    ):  # it could have been
        transect.slice(model, where, max_bytes=9 * needed // 10, verify=False, budget=10**4)
    with pytest.raises(TraceTooLarge, match=r"more than 1 byte of vertices"):
        transect.slice(model, where, max_bytes=1)


def test_errors():
    with pytest.raises(InvalidInput, match=r"plane: expected a transect\.Plane, got Path"):
        forecast_slice(mlp(2, 3), transect.Path([[0.0, 0.0], [1.0, 1.0]]))
    with pytest.raises(InvalidInput, match="plane: it lies in a space of inputs of shape"):
        forecast_slice(transect.capture(mlp(2, 3), torch.zeros(2)), plane(5))
    with pytest.raises(InvalidInput, match="seed: expected a whole number"):
        forecast_slice(mlp(5, 3), plane(5), seed=-1)
    with pytest.raises(InvalidInput, match="outputs"):
        forecast_slice(mlp(5, 3), plane(5), outputs=[7])
