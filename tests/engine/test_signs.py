"""Which values are above a threshold, and where that changes, against loops over single numbers."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from transect.engine.crossings import above, changes

DTYPES = (torch.float32, torch.float64)


def _values(rows: int, units: int, dtype: torch.dtype) -> Tensor:
    """Noise with the numbers among it at which a comparison could go wrong."""
    torch.manual_seed(units)
    tiny = torch.finfo(dtype).smallest_normal
    special = torch.tensor([0.0, -0.0, tiny / 4, -tiny / 4, float("inf"), -float("inf"), 0.5, -0.5], dtype=dtype)
    z = torch.randn(rows, units, dtype=dtype)
    chosen = torch.rand(rows, units) < 0.3
    return torch.where(chosen, special[torch.randint(len(special), (rows, units))], z)


def _one_by_one(z: Tensor, threshold: float | Tensor) -> list[list[bool]]:
    limits = threshold.tolist() if isinstance(threshold, Tensor) else [threshold] * z.shape[1]
    return [[value > limit for value, limit in zip(row, limits, strict=True)] for row in z.tolist()]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("units", [1, 7, 8, 9, 64, 1000])
def test_above_compares_every_value_with_its_threshold(dtype: torch.dtype, units: int):
    z = _values(5, units, dtype)
    for threshold in (0.0, 0.5, torch.rand(units, dtype=dtype), torch.rand(units, dtype=torch.float64)):
        found = above(z, threshold)
        assert found[:, :units].tolist() == _one_by_one(z, threshold)
        assert not found[:, units:].any()  # what rows are padded with


@pytest.mark.parametrize("dtype", DTYPES)
def test_above_takes_rows_that_do_not_lie_one_after_the_other(dtype: torch.dtype):
    z = _values(8, 24, dtype)
    for view in (z[::2], z[:, 3:17], z.T):
        assert above(view, 0.0)[:, : view.shape[1]].tolist() == _one_by_one(view, 0.0)


def test_nothing_is_above_or_below_what_is_no_number():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert above(torch.full((1, 3), torch.nan), 0.0)[:, :3].tolist() == [[False] * 3]


@pytest.mark.parametrize("units", [1, 9, 64, 100])
def test_changes_are_those_between_rows_of_one_segment(units: int):
    side = above(_values(20, units, torch.float64), 0.0)
    joined = torch.arange(19) % 4 != 3
    listed = [(row, unit) for row in range(19) for unit in range(units)
              if joined[row] and side[row, unit] != side[row + 1, unit]]  # fmt: skip
    assert list(zip(*(found.tolist() for found in changes(side, joined)), strict=True)) == listed
