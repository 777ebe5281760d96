"""Constants shaped like an activation: ``zeros_like``, ``ones_like`` and ``full_like`` as exported."""

from __future__ import annotations

import torch

from transect.graph import Node
from transect.rules.base import Affine, Refused, only_input, row_dim


def full_like(node: Node) -> Affine:
    """``full_like(x, value)``: reads the shape of x, and none of its numbers."""
    row_dim(only_input(node))
    number = node.args[1]
    if not isinstance(number, int | float):
        raise Refused("it fills a tensor with something that is not a number", "use a number")
    return Affine(lambda x: torch.full_like(x, number), torch.zeros_like, torch.zeros_like)


RULES = {str(torch.ops.aten.full_like.default): full_like}
