"""Every way to compute a convolution gives what PyTorch gives, whatever the shape, and leaves its operands alone."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from transect.rules.convolutions import Geometry


def _drawn(generator: random.Random) -> tuple[Geometry, Tensor, Tensor, Tensor | None]:
    dimensions, groups = generator.choice([1, 2, 3]), generator.choice([1, 1, 2, 6])
    kernel, stride, padding, dilation = (
        tuple(generator.choice(numbers) for _ in range(dimensions))
        for numbers in ([1, 2, 3], [1, 2, 3], [0, 1, 2], [1, 2])
    )
    size = [generator.choice([5, 6, 9]) for _ in range(dimensions)]
    outputs, rows = generator.choice([6, 12]), generator.choice([0, 1, 3, 50])
    x = torch.randn(rows, 6, *size, dtype=torch.float64)
    weight = torch.randn(outputs, 6 // groups, *kernel, dtype=torch.float64)
    bias = generator.choice([None, torch.randn(outputs, dtype=torch.float64)])
    return Geometry(stride, padding, dilation, False, (0,) * dimensions, groups), x, weight, bias


@pytest.mark.parametrize("seed", range(150))
def test_a_convolution_is_that_of_pytorch(seed: int):
    torch.manual_seed(seed)
    geometry, x, weight, bias = _drawn(random.Random(seed))
    before = x.clone()
    made = geometry.convolve(x, weight, bias)
    torch.testing.assert_close(made, geometry.plain(x, weight, bias), rtol=1e-12, atol=1e-12)
    assert torch.equal(x, before)
    assert made.is_contiguous()


@pytest.mark.parametrize("shape", [(4, 32, 32), (4, 200), (2, 12, 12, 12), (16, 4, 4), (1, 8, 8)])
@pytest.mark.parametrize("rows", [1, 2, 13, 14, 15, 29, 300])
def test_blocks_of_rows_leave_no_row_out(shape: tuple[int, ...], rows: int):
    torch.manual_seed(0)
    channels, dimensions = shape[0], len(shape) - 1
    x, weight = torch.randn(rows, *shape).double(), torch.randn(5, channels, *(3,) * dimensions).double()
    one = (1,) * dimensions
    made = Geometry(one, one, one, False, (0,) * dimensions, 1).convolve(x, weight, None)
    functional = (torch.conv1d, torch.conv2d, torch.conv3d)[dimensions - 1]
    torch.testing.assert_close(made, functional(x, weight, padding=1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("channels", "outputs", "rows"), [(3, 4, 300), (3, 4, 600), (4, 40, 171), (40, 4, 85)])
def test_float32_rows_in_blocks_are_those_of_one_call(channels: int, outputs: int, rows: int):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(rows, channels, 32, 32), torch.randn(outputs, channels, 3, 3), torch.randn(outputs)
    made = Geometry((1, 1), (1, 1), (1, 1), False, (0, 0), 1).convolve(x, weight, bias)
    exact = torch.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    torch.testing.assert_close(made.double(), exact, rtol=1e-5, atol=1e-4)


def test_one_number_stands_for_all_dimensions():
    assert Geometry.of([[1], [0], [1], False, [0], 1], 2) == Geometry((1, 1), (0, 0), (1, 1), False, (0, 0), 1)
