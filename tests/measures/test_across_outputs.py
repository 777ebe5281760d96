"""From one number an output to one number a segment."""

from __future__ import annotations

import pytest
import torch

from transect.errors import InvalidInput
from transect.measures.base import across_outputs


@pytest.mark.parametrize(("how", "expected"), [("l2", [5.0, 2.0]), ("mean", [3.5, 1.0]), ("max", [4.0, 2.0])])
def test_each_way_of_joining_the_outputs(how: str, expected: list[float]) -> None:
    values = torch.tensor([[3.0, 4.0], [0.0, 2.0]], dtype=torch.float64)
    assert across_outputs(values, how).tolist() == expected


def test_the_norm_is_taken_before_the_sum_over_segments() -> None:
    assert across_outputs(torch.eye(2, dtype=torch.float64)).sum().item() == 2.0


def test_other_ways_are_refused() -> None:
    with pytest.raises(InvalidInput, match="expected one of l2, mean, max, got 'median'"):
        across_outputs(torch.eye(2), "median")
