"""The engine on a GPU: a simulated one everywhere, and a real one where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor, nn

import transect
from support.simulated_gpu import CAN_SIMULATE, OnGpu, SimulatedGpu, simulated_gpu
from transect.study.models.architectures import resnet18

pytestmark = [  # in float32: small measures, and crossings that rounding cannot tell apart
    pytest.mark.filterwarnings("ignore::transect.errors.RoundingWarning"),
    pytest.mark.filterwarnings("ignore::transect.errors.UnresolvedWarning"),
]
REAL = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
SIMULATED = pytest.mark.skipif(not CAN_SIMULATE, reason="this PyTorch cannot do without the driver of a GPU")
DTYPES = [torch.float64, torch.float32]


def convolutional() -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.Hardtanh(),
        nn.Flatten(), nn.Linear(8, 16), nn.LeakyReLU(), nn.Linear(16, 4),
    ]  # fmt: skip
    return nn.Sequential(*layers).eval(), (3, 8, 8)


def residual() -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(1)
    return resnet18(2, (3, 8, 8), 5, batch_norm=True).eval(), (3, 8, 8)


def bias_free() -> tuple[nn.Module, tuple[int, ...]]:
    """All its units cross together where a path passes through the origin."""
    torch.manual_seed(2)
    layers = [nn.Linear(6, 20, bias=False), nn.ReLU(), nn.Linear(20, 20, bias=False), nn.ReLU(), nn.Linear(20, 2)]
    return nn.Sequential(*layers), (6,)


NETWORKS = [convolutional, residual, bias_free]


def path_for(shape: tuple[int, ...]) -> transect.Path:
    anchors = torch.randn((4, *shape), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return transect.Path(torch.cat([anchors, -anchors[:1]]), closed=True)


@pytest.fixture(params=[pytest.param("simulated", marks=SIMULATED), pytest.param("real", marks=REAL)])
def gpu(request: pytest.FixtureRequest) -> Iterator[SimulatedGpu | None]:
    with ExitStack() as stack:
        yield stack.enter_context(simulated_gpu()) if request.param == "simulated" else None


def close(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    assert found.device == expected.device == torch.device("cpu")
    relative = {torch.float64: 1e-9, torch.float32: 2e-3}[dtype]
    assert float((found - expected).abs().max()) <= relative * float(expected.abs().max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", NETWORKS)
def test_a_trace_is_that_of_the_cpu(make: Callable[[], tuple[nn.Module, tuple[int, ...]]], dtype, gpu):
    model, shape = make()
    path = path_for(shape)
    on_cpu = transect.capture(model, torch.zeros(shape), dtype=dtype)
    network = transect.capture(model, torch.zeros(shape), dtype=dtype, device="cuda")
    assert network.device.type == "cuda"
    found, expected = transect.trace(network, path), transect.trace(on_cpu, path)
    assert found.verification.points == expected.verification.points > 0
    if dtype == torch.float64:
        assert torch.equal(found.crossings, expected.crossings)
        assert torch.equal(found.flips, expected.flips)
        for one, other in zip(found.segments, expected.segments, strict=True):
            close(one.t, other.t, dtype)
            close(one.outputs, other.outputs, dtype)
    for measure in ("absolute_deviation", "deviation_norm", "arc_length"):
        close(getattr(found, measure)(), getattr(expected, measure)(), dtype)


@pytest.mark.parametrize("make", NETWORKS)
def test_a_slice_is_that_of_the_cpu(make: Callable[[], tuple[nn.Module, tuple[int, ...]]], gpu):
    model, shape = make()
    plane = transect.Plane.around(torch.zeros(shape, dtype=torch.float64), 0.3, seed=1)
    on_cpu = transect.capture(model, torch.zeros(shape))
    network = transect.capture(model, torch.zeros(shape), device="cuda")
    found = transect.slice(network, plane, budget=20_000, verify="all")
    expected = transect.slice(on_cpu, plane, budget=20_000)
    assert (found.regions, found.borders, found.vertices) == (expected.regions, expected.borders, expected.vertices)
    assert found.regions > 10
    assert found.verification.regions == found.regions
    close(found.polygons.xy, expected.polygons.xy, torch.float64)
    close(found.polygons.outputs, expected.polygons.outputs, torch.float64)
    assert torch.equal(found.edges.unit, expected.edges.unit)
    close(found.class_areas, expected.class_areas, torch.float64)


def test_runs_stay_where_they_are_made(gpu):
    model, shape = convolutional()
    network = transect.capture(model, torch.zeros(shape), device="cuda")
    runs = list(transect.stream(network, path_for(shape), budget=20_000))
    assert len(runs) > 3
    for run in runs:
        assert {run.t.device.type, run.outputs.device.type, run.flips.knot.device.type} == {"cuda"}


@SIMULATED
def test_rows_do_not_leave_the_gpu_while_a_path_is_walked():
    """What crosses over are sizes, places where runs are cut, and the measures at the end: no values of units."""
    model, shape = residual()
    path = path_for(shape)
    with simulated_gpu() as mode:
        network = transect.capture(model, torch.zeros(shape), device="cuda")
        mode.copied = 0
        found = transect.trace(network, path, keep="measures")
        copied = mode.copied
    assert int(found.crossings.sum()) > 2_000
    assert copied < found.crossings.sum()


def test_estimates_and_regions_are_those_of_the_cpu(gpu):
    model, shape = convolutional()
    path = path_for(shape)
    x = path.anchors[0]
    on_cpu = transect.capture(model, torch.zeros(shape))
    network = transect.capture(model, torch.zeros(shape), device="cuda")
    found, expected = transect.estimate(network, path), transect.estimate(on_cpu, path)
    assert torch.equal(found.flips, expected.flips)
    close(found.absolute_deviation(), expected.absolute_deviation(), torch.float64)
    assert network.pattern(x) == on_cpu.pattern(x)
    here, there = network.region(x), on_cpu.region(x)
    assert here(x).device.type == "cuda"
    assert bool(here.contains(x))
    close(here.slope(x).cpu(), there.slope(x), torch.float64)
    if gpu is None:  # PyTorch's automatic differentiation asks the driver itself
        close(here.affine_map().jacobian, there.affine_map().jacobian, torch.float64)
        close(here.inequalities().matrix, there.inequalities().matrix, torch.float64)


def test_paths_are_measured_on_it(gpu):
    model, shape = bias_free()
    paths = [path_for(shape)] * 3
    found = transect.measure(model, paths, device="cuda", progress=False)
    expected = transect.measure(model, paths, progress=False)
    for column in ("crossings", "flips"):
        assert found.column(column).tolist() == expected.column(column).tolist()


@SIMULATED
def test_the_simulation_refuses_what_cuda_refuses():
    with simulated_gpu() as mode:
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        assert isinstance(there, OnGpu)
        with pytest.raises(RuntimeError, match="same device"):
            there + here
        assert (there + torch.tensor(1.0)).device.type == "cuda"  # single numbers may come from anywhere
        assert mode.copied == 0
        assert there.sum().item() == 3
        assert there.cpu().device.type == "cpu"
        assert mode.copied == 4
