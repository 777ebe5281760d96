"""Unit-wise bending operations: ReLU and its relatives that bend at fixed values."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.graph import Node
from transect.rules.base import Hinge, only_input


def relu(node: Node) -> Hinge:
    """``relu(x)``: bends at 0."""
    only_input(node)
    return Hinge((0.0,), Tensor.relu_)


RULES = {str(torch.ops.aten.relu.default): relu}
