"""What an evaluation holds at a time: deep networks would not fit in memory with all their values."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import transect

DEEP = 40


class Alive(TorchDispatchMode):
    """Most results alive together, from one operation to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[weakref.ref[Tensor]] = []
        self.most = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.seen = [ref for ref in self.seen if ref() is not None]
        if isinstance(result, Tensor) and result.dim() == 2 and len(result) == 3:
            self.seen.append(weakref.ref(result))
        self.most = max(self.most, len(self.seen))
        return result


class Residual(nn.Module):
    """Layers with a branch around each two, and one from the first to the last."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(DEEP))

    def forward(self, x: Tensor) -> Tensor:
        first = h = torch.relu(self.layers[0](x))
        for one, two in zip(self.layers[1::2], self.layers[2::2], strict=False):
            h = h + torch.relu(two(torch.relu(one(h))))
        return h + first


def test_values_are_dropped_once_nobody_reads_them():
    model = Residual().double()
    x = torch.randn(3, 4, dtype=torch.float64)
    network = transect.capture(model, x[0])
    with Alive() as alive:
        found = network(x)
    torch.testing.assert_close(found, model(x))
    assert 3 <= alive.most <= 8
