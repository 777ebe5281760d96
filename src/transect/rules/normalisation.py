"""Batch norm in inference: one scale and one shift a channel."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from transect.graph import Graph, Node, Value
from transect.rules.base import ESTIMATE, MIXES_ROWS, Affine, Refused, row_dim
from transect.rules.convolutions import RULES as CONVOLUTIONS


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


def fold_batch_norms(graph: Graph) -> Graph:
    """The same function with every batch norm that is the only reader of a convolution folded into its weights.

    Call it on a graph whose coverage is proved; verification keeps to the graph as it was exported.
    """
    readers = Counter(value.name for node in graph.nodes for value in node.inputs())
    readers[graph.output.name] += 1
    convolutions = {node.name: node for node in graph.nodes if node.operation in CONVOLUTIONS}
    folded: dict[str, Node] = {}
    for node in graph.nodes:
        source = node.args[0] if node.operation in RULES else None
        if isinstance(source, Value) and source.name in convolutions and readers[source.name] == 1:
            # The folded convolution takes the batch norm's place and name, so its readers need no change.
            folded[node.name] = replace(_folded(convolutions[source.name], node), name=node.name, value=node.value)
            folded[source.name] = folded[node.name]
    kept = [folded.get(node.name, node) for node in graph.nodes]
    nodes = tuple(node for old, node in zip(graph.nodes, kept, strict=True) if old.name == node.name)
    return replace(graph, nodes=nodes)


def _folded(convolution: Node, norm: Node) -> Node:
    x, weight, bias, *geometry = convolution.args
    scale, shift = scale_and_shift(norm)
    transposed, groups = geometry[3], geometry[5]
    if transposed:
        weight = _scale_transposed(weight, scale, groups)
    else:
        weight = weight * scale.reshape(-1, *(1,) * (weight.dim() - 1))
    bias = shift if bias is None else bias * scale + shift
    return replace(convolution, args=(x, weight, bias, *geometry))


def _scale_transposed(weight: Tensor, scale: Tensor, groups: int) -> Tensor:
    """Weights of a transposed convolution are (in, out / groups, ...)."""
    per_group = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return (per_group * scale.reshape(groups, 1, weight.shape[1], 1)).reshape(weight.shape)
