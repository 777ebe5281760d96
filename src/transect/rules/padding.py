"""Padding: with a constant, or with numbers of the same row (reflected, replicated, circular)."""

from __future__ import annotations

from dataclasses import replace

import torch

from transect.graph import Node
from transect.rules.base import Affine, only_input
from transect.rules.written import argument, as_written, keep_samples_apart, selecting


def pad(node: Node) -> Affine:
    """``pad(x, pad, mode="constant", value=None)``: of the last dimensions, two numbers each."""
    only_input(node)
    widths = node.args[1]
    keep_samples_apart(node, *(-1 - dim for dim in range(len(widths) // 2) if any(widths[2 * dim : 2 * dim + 2])))
    if argument(node, 2, "mode", "constant") != "constant":
        return selecting(node)
    with_zeros = replace(node, args=(node.args[0], widths, "constant", 0.0), kwargs={})
    return Affine(as_written(node), as_written(with_zeros), as_written(with_zeros))


RULES = {str(torch.ops.aten.pad.default): pad}
