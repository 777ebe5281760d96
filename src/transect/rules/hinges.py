"""Unit-wise bending operations: ReLU and its relatives, which bend at fixed values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from transect.graph import Node, Value
from transect.rules.base import Affine, Bend, Hinge, Refused, only_input, row_dim, stored_constant
from transect.rules.written import argument


def relu(node: Node) -> Hinge:
    """``relu(x)``: bends at 0."""
    only_input(node)
    return Hinge((0.0,), Tensor.relu_)


def leaky_relu(node: Node) -> Hinge:
    """``leaky_relu(x, negative_slope=0.01)``: bends at 0."""
    only_input(node)
    return _leaky(float(argument(node, 1, "negative_slope", 0.01)))


def rrelu(node: Node) -> Hinge:
    """``rrelu(x, lower=1/8, upper=1/3)`` in evaluation: a leaky ReLU with the mean of the two slopes."""
    only_input(node)
    if argument(node, 3, "training", False):
        raise Refused("it is random", "call model.eval()")
    return _leaky((float(argument(node, 1, "lower", 1 / 8)) + float(argument(node, 2, "upper", 1 / 3))) / 2)


def _leaky(slope: float) -> Hinge:
    leaky = functional.leaky_relu_ if slope >= 0 else functional.leaky_relu  # which has a derivative there
    return Hinge((0.0,), lambda x: leaky(x, slope), max(1.0, slope * slope), computed=0.0)


def prelu(node: Node) -> Hinge:
    """``prelu(x, weight)`` with one slope for all, or one a channel: bends at 0."""
    x, weight = node.args[:2]
    if not isinstance(x, Value) or isinstance(weight, Value):
        raise Refused("its slope depends on the input", "use constant slopes")
    if row_dim(x) != 0:
        raise Refused("it reads the samples as channels", "keep the samples in dimension 0")
    slope = weight.reshape(-1, *(1,) * (len(x.shape) - 2)) if weight.numel() > 1 else weight.reshape(())
    gain = slope.double().square().clamp_min(1)
    return Hinge((0.0,), lambda x: torch.where(x > 0, x, x * slope), gain, computed=0.0)


def absolute(node: Node) -> Hinge:
    """``abs(x)``: bends at 0."""
    only_input(node)
    return Hinge((0.0,), Tensor.abs_)


def hardsigmoid(node: Node) -> Hinge:
    """``hardsigmoid(x)``: x/6 + 1/2 between -3 and 3."""
    only_input(node)
    return Hinge((-3.0, 3.0), lambda x: x.clamp_(-3, 3).add_(3).div_(6), 1 / 36, computed=0.0)


def softshrink(node: Node) -> Affine | Hinge:
    """``softshrink(x, lambd=0.5)``: nearer to 0 by lambd, or 0; the identity where lambd is 0."""
    only_input(node)
    reach = float(argument(node, 1, "lambd", 0.5))
    if reach == 0:
        return Affine.selecting(lambda x: x)
    return Hinge((-reach, reach), lambda x: functional.softshrink(x, reach), computed=0.0)


def threshold(node: Node) -> Hinge:
    """``threshold(x, threshold, value)``: continuous, and so traced, where the two are equal."""
    only_input(node)
    at, value = node.args[1:3]
    if at != value:
        raise Refused(f"it jumps from {value} to {at} at its threshold", "give it its threshold as value, or use ReLU")
    return Hinge((float(at),), lambda x: x.clamp_min_(at))


def relu6(node: Node) -> Hinge:
    """``relu6(x)``: bends at 0 and 6."""
    only_input(node)
    return Hinge((0.0, 6.0), _clamped(0.0, 6.0))


def hardtanh(node: Node) -> Affine | Bend:
    """``hardtanh(x, min_val=-1, max_val=1)``."""
    only_input(node)
    return _clamp(argument(node, 1, "min_val", -1.0), argument(node, 2, "max_val", 1.0))


def clamp(node: Node) -> Affine | Bend:
    """``clamp(x, min=None, max=None)``, ``clamp_min``, ``clamp_max``; numbers, or constants that broadcast."""
    family = node.operation.split(".")[1]
    low = argument(node, 1, "min", None) if family != "clamp_max" else None
    high = argument(node, 1, "max", None) if family == "clamp_max" else argument(node, 2, "max", None)
    bounds = [_bound(node, part) for part in (low, high)]
    return _clamp(*bounds)


def at_least(node: Node) -> Affine | Bend:
    """``maximum(x, constant)``."""
    return _clamp(_bound(node, _other(node)), None)


def at_most(node: Node) -> Affine | Bend:
    """``minimum(x, constant)``."""
    return _clamp(None, _bound(node, _other(node)))


def _other(node: Node) -> Any:
    a, b = node.args[:2]
    return b if isinstance(a, Value) else a


def _bound(node: Node, bound: Any) -> Any:
    """A limit as a number, or as a tensor of one number a unit, rows first and without the row dimension."""
    x = only_input(node)
    assert node.value is not None
    if isinstance(bound, Tensor) and bound.dim() > 0:
        if node.value.shape != x.shape:
            raise Refused("its limits have more dimensions than the activations", "expand the activations first")
        return stored_constant(bound, x)[0].expand(x.unit_shape)
    return bound if bound is None else float(bound)


def _clamp(low: Any, high: Any) -> Affine | Bend:
    limits = [bound for bound in (low, high) if bound is not None]
    if not limits:
        return Affine.selecting(lambda x: x)
    low_or_high = [torch.as_tensor(bound, dtype=torch.float64) for bound in limits]
    if len(limits) == 2 and bool((low_or_high[0] >= low_or_high[1]).all()):
        return Affine(lambda x: torch.zeros_like(x) + high, torch.zeros_like, torch.zeros_like)
    return Hinge(tuple(limits), _clamped(low, high))


def piecewise(x: Tensor, positions: Sequence[Any], slopes: Sequence[Any], intercepts: Sequence[Any]) -> Tensor:
    """A continuous function of each number by its pieces, of which each begins after a position."""
    made: Tensor = x * slopes[0] + intercepts[0]
    for position, slope, intercept in zip(positions, slopes[1:], intercepts[1:], strict=True):
        made = torch.where(x > position, x * slope + intercept, made)
    return made


def pieces(node: Node) -> Affine | Hinge:
    """:func:`piecewise`, as which selections are rewritten."""
    x = node.args[0]
    positions, slopes, intercepts = ([_per_unit(number, x) for number in part] for part in node.args[1:])
    gain, added = (
        torch.stack(torch.broadcast_tensors(*map(torch.as_tensor, numbers))).double().abs().amax(0)
        for numbers in (slopes, intercepts)
    )

    def apply(x: Tensor) -> Tensor:
        at, *lines = ([_as_of(number, x) for number in part] for part in (positions, slopes, intercepts))
        return piecewise(x, at, *lines)

    if not positions:
        slope = slopes[0]
        return Affine(apply, lambda x: x * _as_of(slope, x), lambda x: x * _as_of(slope, x).square())
    return Hinge(tuple(positions), apply, gain.square(), computed=added)


def _per_unit(number: Tensor, x: Value) -> float | Tensor:
    """A number, where all units have the same one, or one for each."""
    if bool((number == number.flatten()[0]).all()):
        return number.flatten()[0].item()
    return stored_constant(number, x)[0].expand(x.unit_shape)


def _as_of(number: float | Tensor, x: Tensor) -> Tensor:
    return torch.as_tensor(number, dtype=x.dtype, device=x.device)


def _clamped(low: Any, high: Any) -> Callable[[Tensor], Tensor]:
    def clamped(x: Tensor) -> Tensor:
        for limit, keep in ((low, torch.clamp_min), (high, torch.clamp_max)):
            if limit is not None:
                x = keep(x, limit)
        return x

    return clamped


_aten = torch.ops.aten
RULES = {
    str(_aten.relu.default): relu,
    str(_aten.relu6.default): relu6,
    piecewise.__name__: pieces,
    str(_aten.leaky_relu.default): leaky_relu,
    str(_aten.rrelu.default): rrelu,
    str(_aten.prelu.default): prelu,
    str(_aten._prelu_kernel.default): prelu,
    str(_aten.abs.default): absolute,
    str(_aten.hardsigmoid.default): hardsigmoid,
    str(_aten.softshrink.default): softshrink,
    str(_aten.threshold.default): threshold,
    str(_aten.hardtanh.default): hardtanh,
    str(_aten.maximum.default): at_least,
    str(_aten.minimum.default): at_most,
    **{str(op): clamp for op in (_aten.clamp.default, _aten.clamp.Tensor, _aten.clamp_min.default,
                                 _aten.clamp_min.Tensor, _aten.clamp_max.default, _aten.clamp_max.Tensor)},
}  # fmt: skip
