"""Estimates against exact traces: bounds that always hold, and intervals that hold in 95 of 100 cases and more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect

pytestmark = pytest.mark.filterwarnings("ignore::transect.errors.RoundingWarning")

MEASURES = (
    "absolute_deviation",
    "centred_deviation",
    "deviation_norm",
    "total_variation",
    "excess_variation",
    "arc_length",
)


class Residual(nn.Module):
    """Convolutions, batch norm, a residual branch and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(6), nn.Linear(6 * 9, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))
        x = functional.relu(x + self.norm(self.second(x)))
        return self.head(functional.max_pool2d(x, 2).flatten(1))


class Mixed(nn.Module):
    """Bends of several kinds, some with three pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in ((12, 40), (40, 40), (40, 40), (40, 4)))

    def forward(self, x: Tensor) -> Tensor:
        for layer, bend in zip(self.layers, (functional.hardtanh, torch.abs, functional.leaky_relu), strict=False):
            x = bend(layer(x))
        return torch.maximum(*self.layers[3](x).chunk(2, 1))


def _wide() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10))


def _fitted() -> nn.Module:
    """A network that has learnt random labels, and so is far from its initialisation."""
    model = nn.Sequential(nn.Linear(12, 60), nn.ReLU(), nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 6))
    inputs, labels = torch.randn(300, 12), torch.randint(6, (300,))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, (2, 6, 6)),
    "mixed": (Mixed, (12,)),
    "wide": (_wide, (12,)),
    "fitted": (_fitted, (12,)),
}


@pytest.fixture(scope="module", params=CASES)
def exact(request: pytest.FixtureRequest) -> tuple[nn.Module, list[transect.Trace]]:
    build, shape = CASES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = build().eval()
        paths = [transect.Path(2 * torch.randn(6, *shape, dtype=torch.float64)) for _ in range(12)]
    return model, transect.trace(model, paths, keep="measures")


@pytest.fixture(scope="module", params=[torch.float32, torch.float64], ids=["float32", "float64"])
def pair(exact, request: pytest.FixtureRequest) -> tuple[list[transect.Trace], list[transect.Estimate]]:
    model, traces = exact
    return traces, transect.estimate(model, [trace.path for trace in traces], dtype=request.param)


def _share(inside: list[Tensor]) -> float:
    return float(torch.cat([part.reshape(-1) for part in inside]).double().mean())


def _within(values: Tensor, interval: Tensor) -> Tensor:
    return (values >= interval[..., 0]) & (values <= interval[..., 1])


def test_flips_are_bounded_from_below_and_mostly_from_above(pair):
    traces, estimates = pair
    for exact, found in zip(traces, estimates, strict=True):
        assert found.operations == exact.operations
        assert bool((found.flips_by_operation <= exact.flips_by_operation).all())
        assert torch.equal(found.flips_by_operation.sum(1), found.flips_lower)
    assert _share([_within(t.flips, e.flips_interval) for t, e in zip(*pair, strict=True)]) >= 0.95
    assert _share([_within(t.flips.sum(), e.per_path(e.flips_interval)) for t, e in zip(*pair, strict=True)]) >= 0.95


def test_flips_of_paths_are_within_one_percent_on_average(pair):
    wrong = torch.stack([(e.flips.sum() / t.flips.sum() - 1).abs() for t, e in zip(*pair, strict=True)])
    assert wrong.mean() < 1e-2
    assert wrong.max() < 3e-2


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_lie_in_their_intervals(pair, measure: str):
    traces, estimates = pair
    for exact, found in zip(traces, estimates, strict=True):
        assert getattr(found, measure)().shape == getattr(exact, measure)().shape
        value, interval = getattr(found, measure)(), found.interval(measure)
        assert bool(_within(value, interval).all())
    inside = [_within(getattr(t, measure)(), e.interval(measure)) for t, e in zip(*pair, strict=True)]
    assert _share(inside) >= 0.95
    sums = [_within(getattr(t, measure)().sum(0), e.per_path(e.interval(measure))) for t, e in zip(*pair, strict=True)]
    assert _share(sums) >= 0.95


def test_deviations_are_within_one_percent_of_the_largest(pair):
    for exact, found in zip(*pair, strict=True):
        wrong = (found.absolute_deviation() - exact.absolute_deviation()).abs()
        assert bool((wrong[found.converged] <= 1e-2 * exact.absolute_deviation().amax(1, True)[found.converged]).all())


def test_the_default_takes_few_samples(pair):
    samples = torch.cat([found.samples for found in pair[1]])
    assert samples.max() <= 129
    assert samples.double().mean() <= 100
