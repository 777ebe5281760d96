"""A network for every rule: what it computes, and the shape of one input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
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


@cache
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


def _written_into_constants(x: Tensor) -> Tensor:
    y = torch.zeros(x.size(0), 4, dtype=x.dtype)
    y[:, 1:3] = x
    y[:, 0] = 7
    z = torch.ones(x.size(0), 5, dtype=x.dtype)
    z[:, [4, 0]] = 2 * x
    return torch.cat([y, z], 1)


def _shuffled(x: Tensor) -> Tensor:
    functional = torch.nn.functional
    together = functional.pixel_shuffle(x, 2)
    return functional.pixel_unshuffle(together, 2) + functional.channel_shuffle(x, 2)


def _bilinear(x: Tensor) -> Tensor:
    return torch.nn.functional.bilinear(x, _weights(2).expand(x.size(0), 2), _weights(3, 4, 2), _weights(3))


def _stacks(x: Tensor) -> Tensor:
    first = torch.stack([x, x.flip(1), torch.ones_like(x)])
    return first.sum(0) + torch.stack([x, 2 * x], -1)[..., 0]


def _instance_norm(x: Tensor) -> Tensor:
    mean, variance, weight, bias = _weights(2), _weights(2).square() + 0.1, _weights(2) + 2, _weights(2)
    return torch.nn.functional.instance_norm(x, mean, variance, weight, bias, use_input_stats=False)


def _scattered(x: Tensor) -> Tensor:
    places = torch.tensor([2, 0, 2, 1])
    columns = places.expand_as(x)
    apart = torch.tensor([3, 0, 2, 1])
    made = [
        torch.ones_like(x).scatter_add(1, columns, x),
        torch.zeros_like(x).index_add(1, places, x, alpha=2),
        (2 * x).index_copy(1, apart, x),
        (2 * x).scatter(1, apart.expand_as(x), x),
    ]
    return torch.cat(made, 1)


def _on_grid(dims: int) -> Forward:
    grid = _weights(1, *(3,) * dims, dims).clamp(-1.2, 1.2)
    sample = torch.nn.functional.grid_sample
    return lambda x: sample(x, grid.expand(x.size(0), *grid.shape[1:]), align_corners=False)


def _upsampled() -> list[RuleCase]:
    def resized(**options: Any) -> Forward:
        return lambda x: torch.nn.functional.interpolate(x, **options)

    shapes = {"nearest": (2, 2, 3), "bilinear": (1, 2, 3), "bicubic": (2, 3, 4)}
    found = [
        RuleCase(f"upsampling, {mode}", resized(scale_factor=2, mode=mode), shape) for mode, shape in shapes.items()
    ]
    found += [RuleCase("upsampling, linear", resized(size=5, mode="linear"), (2, 3))]
    found += [RuleCase("upsampling, nearest 1-D", resized(scale_factor=3), (2, 3))]
    found += [RuleCase("upsampling, nearest 3-D", resized(scale_factor=2), (1, 2, 1, 2))]
    found += [RuleCase("upsampling, trilinear", resized(scale_factor=2, mode="trilinear"), (1, 2, 2, 2))]
    found += [RuleCase("upsampling, nearest-exact", resized(scale_factor=2, mode="nearest-exact"), (1, 2, 2))]
    found += [RuleCase("upsampling, by area", resized(size=(2, 2), mode="area"), (1, 3, 4))]
    for mode in ("bilinear", "bicubic"):
        options = {"size": (2, 3), "mode": mode, "antialias": True}
        found.append(RuleCase(f"downsampling, {mode}", resized(**options), (1, 5, 6)))
    found.append(RuleCase("corners aligned", resized(size=(4, 3), mode="bicubic", align_corners=True), (1, 3, 2)))
    return found


MATRIX, ROW, MASK = _weights(3, 4), _weights(4), torch.tensor([True, False, True])
aten = torch.ops.aten

CASES = (
    RuleCase("linear", lambda x: torch.nn.functional.linear(x, MATRIX, _weights(3)), (4,)),
    RuleCase("linear on positions", lambda x: torch.nn.functional.linear(x, MATRIX), (2, 4)),
    RuleCase("addmm", lambda x: torch.addmm(_weights(3), x, MATRIX.t(), beta=0.5, alpha=2), (4,)),
    RuleCase("mm", lambda x: torch.mm(x, MATRIX.t()), (4,)),
    RuleCase("matmul", lambda x: x @ MATRIX.t(), (2, 4)),
    RuleCase("matmul with a vector", lambda x: x @ ROW, (2, 4)),
    RuleCase("linear with a vector", lambda x: torch.nn.functional.linear(x, ROW), (4,)),
    RuleCase("matrix times vector", lambda x: torch.mv(x, ROW), (4,)),
    RuleCase("matrix times vector and more", lambda x: torch.addmv(_weights(1), x, ROW, beta=0.5, alpha=2), (4,)),
    RuleCase("bilinear", _bilinear, (4,)),
    RuleCase("stacks", _stacks, (3,)),
    RuleCase("instance norm", _instance_norm, (2, 3)),
    RuleCase("scattered", _scattered, (4,)),
    RuleCase("parts of matrices", lambda x: x.tril() + 2 * x.triu(1), (3, 3)),
    RuleCase("sampled on a grid", _on_grid(2), (2, 3, 4)),
    RuleCase("sampled on a grid 3-D", _on_grid(3), (1, 2, 3, 2)),
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
    RuleCase("running sum", lambda x: x.cumsum(1) + x.cumsum(-1), (3, 4)),
    RuleCase("einsum", lambda x: torch.einsum("bij,kj->bki", x, _weights(5, 3)), (2, 3)),
    RuleCase("einsum of three", lambda x: torch.einsum("k,bij,kj->bi", _weights(5), x, _weights(5, 3)), (2, 3)),
    RuleCase("matmul from the left", lambda x: _weights(3, 4) @ x, (4, 2)),
    RuleCase("matmul with a stack", lambda x: x.unsqueeze(1) @ _weights(2, 4, 3), (2, 4)),
    RuleCase("matmul of columns of samples", lambda x: (_weights(3, 4) @ x.t()).t(), (4,)),
    RuleCase("bmm", lambda x: torch.bmm(x, _weights(4, 3).expand(x.size(0), 4, 3)), (2, 4)),
    RuleCase("bmm of samples as rows", lambda x: torch.bmm(x.unsqueeze(0), _weights(1, 1, 3)).squeeze(0), (1,)),
    RuleCase("split", lambda x: torch.cat(x.split([2, 3], 1)[::-1], 1), (5,)),
    RuleCase("chunk", lambda x: x.chunk(2, -1)[0] - x.chunk(2, -1)[1], (3, 4)),
    RuleCase("unbind and stack", lambda x: torch.stack(x.unbind(1)[::-1], -1), (3, 4)),
    RuleCase("flip and roll", lambda x: x.flip((1, 2)).roll(1, 1), (3, 4)),
    RuleCase("quarter turn", lambda x: torch.rot90(x, 1, (2, 3)), (1, 2, 3)),
    RuleCase("index", lambda x: x[:, [2, 0, 0]] + x[:, :, torch.tensor([1])], (3, 4)),
    RuleCase("index of two dimensions", lambda x: x[:, [0, 1], :, [2, 0]], (2, 2, 3)),
    RuleCase("index select", lambda x: x.index_select(2, torch.tensor([3, 1])), (3, 4)),
    RuleCase("gather", lambda x: x.gather(1, torch.tensor([[2, 0]]).expand(x.size(0), 2)), (3,)),
    RuleCase("diagonal and unfold", lambda x: x.unfold(1, 3, 1).diagonal(dim1=1, dim2=-1), (5,)),
    RuleCase("repeat", lambda x: x.repeat(1, 2, 1).repeat_interleave(2, 2), (2, 3)),
    RuleCase("written into a constant", _written_into_constants, (2,)),
    RuleCase("written into a value", lambda x: torch.select_scatter(2 * x, x[:, 1], 1, 0), (3, 2)),
    RuleCase("scattered", lambda x: torch.slice_scatter(x, x[:, :2] * 3, 1, 1, 5, 2), (6,)),
    RuleCase("pad with a constant", lambda x: torch.nn.functional.pad(x, (1, 2, -1, 0), value=3.0), (3, 4)),
    RuleCase("pad by reflection", lambda x: torch.nn.functional.pad(x, (1, 2), mode="reflect"), (2, 4)),
    RuleCase("pad by replication", lambda x: torch.nn.functional.pad(x, (1, 2, 1, 0), mode="replicate"), (1, 2, 3)),
    RuleCase("pad in a circle", lambda x: torch.nn.functional.pad(x, (1, 2, 1, 0), mode="circular"), (1, 2, 3)),
    RuleCase("shuffles", _shuffled, (4, 2, 2)),
    *_upsampled(),
    RuleCase("where with a constant condition", lambda x: torch.where(MASK, x, 2.0) + torch.where(MASK, 1.0, -x), (3,)),
    RuleCase("where of two values", lambda x: torch.where(MASK, x, x.sum(1, keepdim=True)), (3,)),
    RuleCase("masked fill", lambda x: x.masked_fill(MASK, 5.0), (3,)),
    RuleCase("lower triangle", lambda x: torch.tril(x), (3, 3)),
    RuleCase("linear interpolation", lambda x: torch.lerp(x, 3 * x + 1, 0.3), (3,)),
    RuleCase("numbers that are none", torch.nan_to_num, (3,)),
    RuleCase("relu", torch.relu, (4,)),
    RuleCase("relu6", torch.nn.functional.relu6, (4,)),
    RuleCase("leaky relu", lambda x: torch.nn.functional.leaky_relu(x, 0.3), (4,)),
    RuleCase("leaky relu with a negative slope", lambda x: torch.nn.functional.leaky_relu(x, -2.0), (4,)),
    RuleCase("prelu of channels", lambda x: torch.prelu(x, _weights(3)), (3, 2)),
    RuleCase("prelu of all", lambda x: torch.prelu(x, _weights(1)), (3, 2)),
    RuleCase("rrelu", lambda x: torch.rrelu(x, 0.1, 0.3), (4,)),
    RuleCase("hardtanh", lambda x: torch.nn.functional.hardtanh(x, -0.5, 0.7), (4,)),
    RuleCase("hardsigmoid", lambda x: torch.nn.functional.hardsigmoid(4 * x), (4,)),
    RuleCase("softshrink", lambda x: torch.nn.functional.softshrink(x, 0.3), (4,)),
    RuleCase(
        "several pieces", lambda x: x.sign() * torch.relu(x.abs() - torch.tensor([0.1, 0.2, 0.3, 0.0]).double()), (4,)
    ),
    RuleCase("threshold", lambda x: torch.nn.functional.threshold(x, 0.2, 0.2), (4,)),
    RuleCase("abs", torch.abs, (4,)),
    RuleCase("clamp", lambda x: x.clamp(-0.3, 0.4) + x.clamp(min=0.1) + x.clamp_max(0.2), (4,)),
    RuleCase("clamp that is constant", lambda x: x.clamp(0.5, -0.5) + x, (4,)),
    RuleCase("clamp with tensors", lambda x: x.clamp(_weights(4) - 5, _weights(4)) + x.clamp(min=_weights(4)), (3, 4)),
    RuleCase("maximum with a constant", lambda x: torch.maximum(x, _weights(4)), (3, 4)),
    RuleCase("minimum with a constant", lambda x: torch.minimum(torch.zeros_like(x), x), (3, 4)),
    RuleCase("maximum", lambda x: torch.maximum(x, x.mean(1, keepdim=True)), (3, 4)),
    RuleCase("minimum", lambda x: torch.minimum(x, 1 - 2 * x), (3, 4)),
    RuleCase(
        "largest along dimensions", lambda x: x.amax((1, 3)) + x.max(2, keepdim=True).values.amax(3)[:, 0], (2, 3, 4)
    ),
    RuleCase("smallest along dimensions", lambda x: x.amin((-1,), keepdim=True) + x.min(1)[0].unsqueeze(1), (2, 3)),
    RuleCase("norm of order one", lambda x: x.norm(p=1, dim=1), (2, 3)),
    RuleCase("largest magnitude", lambda x: torch.linalg.vector_norm(x, ord=torch.inf, dim=-1), (2, 3)),
    RuleCase("max-pooling 1-D", lambda x: torch.nn.functional.max_pool1d(x, 3, 2, 1), (2, 7)),
    RuleCase("max-pooling 2-D", lambda x: torch.nn.functional.max_pool2d(x, 3, 2, 1), (2, 6, 5)),
    RuleCase("max-pooling with dilation", lambda x: torch.nn.functional.max_pool2d(x, 2, 1, 0, dilation=2), (1, 5, 5)),
    RuleCase("max-pooling in ceil mode", lambda x: torch.nn.functional.max_pool2d(x, 3, 2, ceil_mode=True), (1, 6, 6)),
    RuleCase("max-pooling 3-D", lambda x: torch.nn.functional.max_pool3d(x, 2, 1), (1, 3, 2, 3)),
    RuleCase("adaptive max-pooling 1-D", lambda x: torch.nn.functional.adaptive_max_pool1d(x, 3), (2, 7)),
    RuleCase("adaptive max-pooling 2-D", lambda x: torch.nn.functional.adaptive_max_pool2d(x, (2, 3)), (2, 5, 5)),
    RuleCase("adaptive max-pooling 3-D", lambda x: torch.nn.functional.adaptive_max_pool3d(x, 2), (1, 3, 4, 5)),
    RuleCase("relu by comparison", lambda x: x * (x > 0) + (x >= 0).to(x.dtype) * x, (4,)),
    RuleCase("relu by a negated comparison", lambda x: x.masked_fill(~(x > 0), 0) + x * torch.logical_not(x < 0), (4,)),
    RuleCase("leaky relu by comparison", lambda x: torch.where(x <= 0, 0.1 * x, x), (4,)),
    RuleCase("relu by filling", lambda x: x.masked_fill(x < 0, 0.0), (4,)),
    RuleCase("a bend elsewhere", lambda x: torch.where(2 * x + 1 > x.flip(1), x + 1, x.flip(1) - x), (4,)),
    RuleCase("the larger by comparison", lambda x: torch.where(x > x.roll(1, 1), x, x.roll(1, 1)), (4,)),
    RuleCase("a bend at another place for each unit", lambda x: torch.where(x > _weights(4), x, _weights(4)), (4,)),
)
