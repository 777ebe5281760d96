"""How much is kept alive by default."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import transect
from transect.tracing.arguments import default_budget, peak_bytes

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
GIB = 2**30


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch):
    """Sets what the GPU says of its memory."""

    def of(free: int, reserved: int = 0, allocated: int = 0) -> None:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * GIB))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated)

    return of


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_on_a_cpu_the_numbers_take_32_mib_whatever_they_are(dtype: torch.dtype):
    assert default_budget(dtype, CPU) * torch.empty((), dtype=dtype).element_size() == 32 * 2**20


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("free", [4 * GIB, 16 * GIB, 79 * GIB])
def test_on_a_gpu_a_trace_takes_a_quarter_of_what_is_free_at_most(memory, dtype: torch.dtype, free: int):
    memory(free)
    budget = default_budget(dtype, GPU)
    assert budget > default_budget(dtype, CPU)
    assert peak_bytes(budget, dtype) <= free / 4
    memory(free - 2**20)
    assert default_budget(dtype, GPU) in (budget, budget // 2)


def test_what_torch_holds_and_does_not_use_is_free(memory):
    memory(8 * GIB)
    budget = default_budget(torch.float64, GPU)
    memory(1 * GIB, reserved=9 * GIB, allocated=2 * GIB)
    assert default_budget(torch.float64, GPU) == budget


def test_a_full_gpu_is_tried_with_what_a_cpu_takes(memory):
    memory(10 * 2**20)
    assert default_budget(torch.float64, GPU) == default_budget(torch.float64, CPU)


def test_large_rows_count_where_rounding_is_judged():
    assert peak_bytes(1000, torch.float64, 10_000_000) == 2 * peak_bytes(1000, torch.float32, 10_000_000)
    assert peak_bytes(1000, torch.float64, 10_000_000) > 17 * 10_000_000 * 8


NETWORKS = {
    "mlp": lambda: nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 30), nn.Hardtanh(0, 0.3), nn.Linear(30, 3)),
    "windows": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 6, 3, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 1, 1),
        nn.Conv2d(6, 4, 2), nn.LeakyReLU(0.1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2),
    ),
    "dead and tied": lambda: nn.Sequential(
        nn.Linear(8, 12, bias=False), nn.ReLU(), nn.Threshold(0.5, 0.5), nn.Unflatten(1, (3, 4)),
        nn.Upsample(scale_factor=2), nn.MaxPool1d(2, 1), nn.Flatten(),
        nn.Linear(21, 9, bias=False), nn.ReLU(), nn.Linear(9, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_budget_changes_no_count_in_float64(name: str):
    """From eight rows a run to all at once; positions and measures stay within their stated rounding."""
    torch.manual_seed(0)
    network = transect.capture(NETWORKS[name]().double().eval(), torch.zeros(8, dtype=torch.float64))
    anchors = torch.randn(5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    paths = [transect.Path(3 * anchors), transect.Path(torch.cat([anchors.flip(0), -anchors[:1]]))]
    first = transect.trace(network, paths, budget=1)
    assert sum(int(one.crossings.sum()) for one in first) > 100
    for budget in (300, 5_000, 40_000, 10**7):
        for one, other in zip(first, transect.trace(network, paths, budget=budget), strict=True):
            assert torch.equal(one.flips_by_operation, other.flips_by_operation)
            assert one.anchor_crossings == other.anchor_crossings
            assert one.unresolved == other.unresolved
            for count in (
                "crossings",
                "linear_crossings",
                "undecided_crossings",
                "slope_pairs",
                "slope_pairs_left_out",
            ):
                assert torch.equal(getattr(one, count), getattr(other, count)), count
            for left, right in zip(one.segments, other.segments, strict=True):
                assert ((left.t - right.t).abs() <= left.t_error + right.t_error).all()
                assert torch.equal(left.flips.unit, right.flips.unit)
            for measure, found in one.reduced.items():
                assert ((found.value - other.reduced[measure].value).abs() <= found.rounding).all(), measure
