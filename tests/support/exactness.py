"""A trace is compared with the model itself, in float64, one point at a time, in the middle of every region."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

import transect


class Call(nn.Module):
    """A linear layer, and a function of the module and of the layer's values."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor], **buffers: Tensor) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.function = nn.Linear(4, 6), function
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.layer(x))


def assert_exact(model: nn.Module, inputs: int = 4) -> None:
    """Walk through five random points, which some bend lies between, and compare every region in its middle."""
    model = model.eval()
    points = torch.randn(5, inputs, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    trace = transect.trace(model, transect.Path(3 * points))
    assert int(trace.crossings.sum()) > 0
    twin = copy.deepcopy(model).double()
    for segment, start, end in zip(trace.segments, trace.path.starts, trace.path.ends, strict=True):
        for left in range(len(segment.t) - 1):
            t = (segment.t[left] + segment.t[left + 1]) / 2
            with torch.no_grad():
                truth = twin(torch.lerp(start, end, t)[None]).reshape(-1)
            traced = (segment.outputs[left] + segment.outputs[left + 1]) / 2
            torch.testing.assert_close(traced, truth, rtol=0, atol=1e-12)
