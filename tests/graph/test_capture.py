from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

import transect
from transect.errors import UnsupportedModel
from transect.graph.canonical import source_line


class TwiceCalled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.second(self.relu(self.second(self.relu(self.first(x))))))


class Counting(nn.Module):
    def __init__(self, read: bool) -> None:
        super().__init__()
        self.read, self.linear = read, nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x) + (self.calls if self.read else 0)
        self.calls += 1
        return y


class Island(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4).double()

    def forward(self, x: Tensor) -> Tensor:
        offset = torch.zeros(x.size(0), 2) + torch.arange(2.0)
        return torch.cat([functional.relu(self.linear(x)).float(), offset], 1)


def test_operations_are_named_by_module_and_call():
    assert transect.capture(TwiceCalled(), torch.zeros(3)).operations == ("relu", "relu@1", "relu@2")


def test_float32_islands_of_a_model_become_the_working_dtype():
    network = transect.capture(Island(), torch.zeros(3, dtype=torch.float64))
    x = torch.randn(4, 3, dtype=torch.float64)
    expected = functional.relu(functional.linear(x, *network_weights(network)))
    assert network(x).dtype == torch.float64
    torch.testing.assert_close(network(x)[:, :4], expected, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(network(x)[:, 4:], torch.tensor([[0.0, 1.0]]).double().expand(4, 2))


def network_weights(network: transect.Network) -> list[Tensor]:
    node = next(node for node in network.graph.nodes if node.operation == "aten.linear.default")
    return list(node.args[1:])


def test_a_changed_buffer_is_noted_unless_the_output_depends_on_it():
    model = Counting(read=False)
    assert "calls" in transect.capture(model, torch.zeros(3)).graph.notes[0]
    with pytest.raises(UnsupportedModel, match="another function at every call"):
        transect.capture(Counting(read=True), torch.zeros(3))


def test_compiled_modules_are_unwrapped():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    compiled = torch.compile(model, backend="eager")
    path = transect.Path(torch.randn(2, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(transect.trace(compiled, path).crossings, transect.trace(model, path).crossings)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_another_dtype_is_traced_in_float64(dtype: torch.dtype):
    model = nn.Sequential(nn.Linear(3, 40), nn.ReLU(), nn.Linear(40, 2)).to(dtype)
    path = transect.Path(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
    expected = transect.trace(model.double(), path).crossings
    assert torch.equal(transect.trace(model.to(dtype), path).crossings, expected)


def test_later_training_does_not_change_a_captured_network():
    model = nn.Sequential(nn.Linear(3, 40), nn.ReLU(), nn.Linear(40, 2))
    network = transect.capture(model, torch.zeros(3))
    before = network(torch.ones(3))
    with torch.no_grad():
        model[0].weight.zero_()
    assert torch.equal(network(torch.ones(3)), before)


def test_a_line_of_torchvision_is_not_one_of_torch():
    """Both lie in one folder, and one name begins with the other."""
    folder = Path(torch.__file__).parent
    trace = "".join(f'File "{folder}{rest}", line {line}, in forward\n    return f(x)\n'
                    for rest, line in (("vision/models/resnet.py", 7), ("/nn/modules/activation.py", 9)))  # fmt: skip
    node = fx.Graph().placeholder("x")
    node.meta["stack_trace"] = trace
    assert source_line(node) == f"{folder}vision/models/resnet.py:7: return f(x)"
