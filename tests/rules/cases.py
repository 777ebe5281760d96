"""A network for every rule: what it computes, and the shape of one input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class RuleCase:
    """A function of a batch, small enough for its Jacobian."""

    name: str
    forward: Forward
    shape: tuple[int, ...]


class Wrapped(nn.Module):
    """A function as a module."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(x)


def _weights(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def _convolution(dims: int, **options: Any) -> Forward:
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[dims - 1]
    groups = options.get("groups", 1)
    weight, bias = _weights(4, 2 // groups, *(3,) * dims), _weights(4)
    return lambda x: convolve(x, weight, bias, **options)


def _batch_norm(x: Tensor) -> Tensor:
    mean, variance, weight, bias = _weights(2), _weights(2).square() + 0.1, _weights(2) + 2, _weights(2)
    return torch.nn.functional.batch_norm(x, mean, variance, weight, bias)


MATRIX, ROW = _weights(3, 4), _weights(4)
aten = torch.ops.aten

CASES = (
    RuleCase("linear", lambda x: torch.nn.functional.linear(x, MATRIX, _weights(3)), (4,)),
    RuleCase("linear on positions", lambda x: torch.nn.functional.linear(x, MATRIX), (2, 4)),
    RuleCase("addmm", lambda x: torch.addmm(_weights(3), x, MATRIX.t(), beta=0.5, alpha=2), (4,)),
    RuleCase("mm", lambda x: torch.mm(x, MATRIX.t()), (4,)),
    RuleCase("matmul", lambda x: x @ MATRIX.t(), (2, 4)),
    RuleCase("matmul with a vector", lambda x: x @ ROW, (2, 4)),
    RuleCase("convolution 1-D", _convolution(1, stride=2, padding=1), (2, 7)),
    RuleCase("convolution 2-D", _convolution(2, padding=1, dilation=2, groups=2), (2, 5, 5)),
    RuleCase("convolution 3-D", _convolution(3, padding=1), (2, 3, 3, 3)),
    RuleCase(
        "transposed convolution", lambda x: torch.conv_transpose2d(x, _weights(2, 3, 2, 2), _weights(3), 2), (2, 3, 3)
    ),
    RuleCase("batch norm", _batch_norm, (2, 3)),
    RuleCase("convolution and batch norm", lambda x: _batch_norm(torch.conv1d(x, _weights(2, 2, 3))), (2, 5)),
    RuleCase(
        "transposed convolution and batch norm",
        lambda x: _batch_norm(torch.conv_transpose1d(x, _weights(4, 1, 3), None, groups=2)),
        (4, 5),
    ),
    RuleCase("sum of values", lambda x: x + x * 2, (3,)),
    RuleCase("sum with alpha", lambda x: torch.add(x[:, :2], x[:, 1:], alpha=-0.5), (3,)),
    RuleCase("sum that broadcasts", lambda x: x + x.sum(1, keepdim=True), (3, 2)),
    RuleCase("constant plus", lambda x: 3 + x + _weights(3), (3,)),
    RuleCase("constant that broadcasts", lambda x: x.unsqueeze(2) + _weights(3, 4), (3,)),
    RuleCase("difference", lambda x: torch.sub(x, x.mean(1, keepdim=True), alpha=2), (3,)),
    RuleCase("constant minus", lambda x: 1 - x, (3,)),
    RuleCase("constant tensor minus", lambda x: torch.rsub(x, _weights(3)), (3,)),
    RuleCase("product", lambda x: x * _weights(3) * 2, (3,)),
    RuleCase("product that broadcasts", lambda x: x.unsqueeze(2) * _weights(3, 4), (3,)),
    RuleCase("quotient", lambda x: x / 3 / (_weights(3) + 5), (3,)),
    RuleCase("negation", lambda x: -x, (3,)),
    RuleCase("views", lambda x: x.reshape(x.size(0), 3, 2).flatten(1).unsqueeze(1).squeeze(1).view(-1, 2, 3), (6,)),
    RuleCase("permutations", lambda x: x.permute(0, 2, 1).transpose(1, 2).transpose(2, 1), (3, 2)),
    RuleCase("samples moved and back", lambda x: (x.transpose(0, 1) * _weights(3, 1, 1)).permute(1, 2, 0), (3, 2)),
    RuleCase("expand", lambda x: x.unsqueeze(1).expand(-1, 4, -1), (3,)),
    RuleCase("slices", lambda x: x[:, 1::2][:, :2], (6,)),
    RuleCase("select", lambda x: x[:, -1], (3, 2)),
    RuleCase("cat", lambda x: torch.cat([x, 2 * x[:, :1], torch.ones(x.size(0), 2, dtype=x.dtype)], 1), (3,)),
    RuleCase("constant like", lambda x: torch.cat([torch.ones_like(x), x + torch.zeros_like(x)], 1), (3,)),
    RuleCase("copies", lambda x: torch.dropout(x.clone().detach().contiguous().to(torch.float32), 0.5, False), (3,)),
    RuleCase("mean", lambda x: x.mean((1, 3)) + x.mean(-2).sum(-1)[:, :1], (2, 3, 2)),
    RuleCase("sum", lambda x: x.sum((-1, 1), keepdim=True), (2, 3)),
    RuleCase("average pooling 1-D", lambda x: torch.avg_pool1d(x, 3, 2, 1), (2, 7)),
    RuleCase("average pooling 2-D", lambda x: torch.nn.functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 6, 6)),
    RuleCase("average pooling 3-D", lambda x: torch.nn.functional.avg_pool3d(x, 2), (1, 4, 4, 2)),
    RuleCase("adaptive pooling 1-D", lambda x: torch.nn.functional.adaptive_avg_pool1d(x, 3), (2, 7)),
    RuleCase("adaptive pooling 2-D", lambda x: torch.nn.functional.adaptive_avg_pool2d(x, (2, 3)), (2, 5, 5)),
    RuleCase("adaptive pooling 3-D", lambda x: torch.nn.functional.adaptive_avg_pool3d(x, 2), (1, 3, 4, 5)),
    RuleCase("relu", torch.relu, (4,)),
)
