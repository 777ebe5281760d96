"""Batch norm in inference folded into the convolution before it: one pass over the values instead of two."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from torch import Tensor

from transect.graph import Graph, Node, Value
from transect.rules.convolutions import RULES as CONVOLUTIONS
from transect.rules.normalisation import RULES as NORMS
from transect.rules.normalisation import scale_and_shift


def fold_batch_norms(graph: Graph) -> Graph:
    """The same function with every batch norm that is the only reader of a convolution folded into its weights.

    Call it on a graph whose coverage is proved; verification keeps to the graph as it was exported.
    """
    readers = Counter(value.name for node in graph.nodes for value in node.inputs())
    readers[graph.output.name] += 1
    convolutions = {node.name: node for node in graph.nodes if node.operation in CONVOLUTIONS}
    folded: dict[str, Node] = {}
    for node in graph.nodes:
        source = node.args[0] if node.operation in NORMS else None
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
