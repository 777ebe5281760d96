"""How much is kept alive by default."""

from __future__ import annotations

import pytest
import torch

from transect.tracing.budgets import default_budget, peak_bytes

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
