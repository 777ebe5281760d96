"""Batch norm in inference: one scale and one shift a channel."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, MIXES_ROWS, Affine, Refused, row_dim


def batch_norm(node: Node) -> Affine:
    """``_native_batch_norm_legit_no_training(x, weight, bias, running_mean, running_var, momentum, eps)``."""
    x = node.args[0]
    if any(isinstance(part, Value) for part in node.args[1:5]):
        raise Refused("its scale or statistics depend on the input", ESTIMATE)
    if row_dim(x) != 0:
        raise Refused("it reads the samples as channels", MIXES_ROWS)
    scale, shift = scale_and_shift(node)
    channel = (-1, *(1,) * (len(x.shape) - 2))
    return scaled(scale.reshape(channel), shift.reshape(channel))


def scale_and_shift(node: Node) -> tuple[Tensor, Tensor]:
    """The two numbers a channel that a batch norm in inference comes down to, each ``(channels,)``."""
    _, weight, bias, mean, variance, _, eps = node.args
    scale = (variance + eps).rsqrt() if weight is None else weight * (variance + eps).rsqrt()
    shift = -mean * scale if bias is None else bias - mean * scale
    return scale, shift


def scaled(scale: Tensor, shift: Tensor) -> Affine:
    """``x * scale + shift`` with constants that broadcast against rows."""
    squared = scale.double().square()
    return Affine(
        value=lambda x: torch.addcmul(shift, x, scale),
        linear=lambda x: x * scale,
        squares=lambda x: x * squared,
    )


def instance_norm(node: Node) -> Affine:
    """``instance_norm(x, weight, bias, mean, var, use_input_stats, momentum, eps, ...)`` with running statistics."""
    x, weight, bias, mean, variance, own_statistics, _, eps = node.args[:8]
    if own_statistics or mean is None or variance is None:
        raise Refused(
            "it divides by a statistic of the activations",
            "use running statistics (track_running_stats=True) in evaluation mode",
        )
    return batch_norm(replace(node, args=(x, weight, bias, mean, variance, 0.0, eps)))


RULES = {str(torch.ops.aten._native_batch_norm_legit_no_training.default): batch_norm}
INSTANCE_RULES = {str(torch.ops.aten.instance_norm.default): instance_norm}
