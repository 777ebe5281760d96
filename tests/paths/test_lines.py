"""Straight paths between inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transect.errors import InvalidInput
from transect.paths import line, lines


def test_a_line_has_one_segment_between_its_inputs() -> None:
    path = line(np.zeros((2, 2)), np.ones((2, 2)))
    assert (len(path), path.closed, path.length) == (1, False, 2.0)
    assert torch.equal(path.evaluate(0.25), torch.full((2, 2), 0.25, dtype=torch.float64))


def test_lines_pair_two_batches_in_order() -> None:
    starts, ends = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)), torch.ones(3, 4)
    paths = lines(starts, ends)
    assert [path.starts[0].tolist() for path in paths] == starts.tolist()
    assert [path.ends[0].tolist() for path in paths] == ends.tolist()


@pytest.mark.parametrize("first", [torch.float32, torch.float64])
def test_the_more_precise_dtype_of_the_two_is_kept(first: torch.dtype) -> None:
    second = torch.float64 if first == torch.float32 else torch.float32
    path = line(torch.full((2,), 0.1, dtype=first), torch.full((2,), 0.3, dtype=second))
    expected = [float(np.float32(0.1)), 0.3] if first == torch.float32 else [0.1, float(np.float32(0.3))]
    assert path.anchors.dtype == torch.float64
    assert path.anchors[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ([0.0, 1.0], [0.0], r"one shape, got \(2,\) and \(1,\)"),
        ([0.0, 1.0], [0.0, 1.0], "segment 0 has length zero"),
        ([0, 1], [1, 1], "floating-point"),
        ([0.0, 1.0], [0.0, float("nan")], "anchor 1 contains NaN"),
    ],
)
def test_bad_ends_are_refused(start: list[float], end: list[float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        line(start, end)


def test_batches_of_different_size_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got 2 and 3"):
        lines(torch.zeros(2, 4), torch.ones(3, 4))
