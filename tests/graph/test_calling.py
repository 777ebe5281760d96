"""Several inputs of which one moves, and what comes in front of a model: compared with the model called by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import transect
from transect.errors import InvalidInput, UnsupportedModel


class Gated(nn.Module):
    """Takes three inputs, the last by name only."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.last = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor, y: Tensor, scale: float = 1.0, *, mask: Tensor | None = None) -> Tensor:
        h = torch.relu(self.hidden(torch.cat((x, y), 1))) * scale
        return self.last(h if mask is None else h.masked_fill(mask, 0.0))


X, Y = (torch.randn(1, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (2, 3))
MASK = torch.tensor([True, False, False, True])


@pytest.mark.parametrize(
    ("fixed", "argument", "by_hand"),
    [
        ({"y": Y}, None, lambda m, x: m(x, Y.expand(len(x), -1))),
        ({"y": Y[0]}, None, lambda m, x: m(x, Y.expand(len(x), -1))),
        ({1: Y.numpy()}, 0, lambda m, x: m(x, Y.expand(len(x), -1))),
        ({"y": Y.float(), 2: 3.0}, "x", lambda m, x: m(x, Y.float().double().expand(len(x), -1), 3.0)),
        ({"y": Y, "mask": MASK}, None, lambda m, x: m(x, Y.expand(len(x), -1), mask=MASK)),
        ({1: Y, "scale": -2}, None, lambda m, x: m(x, Y.expand(len(x), -1), -2)),
        ({"x": X}, None, lambda m, y: m(X.expand(len(y), -1), y)),
        ({0: X}, 1, lambda m, y: m(X.expand(len(y), -1), y)),
        ({"x": X, "scale": 0.5}, "y", lambda m, y: m(X.expand(len(y), -1), y, 0.5)),
    ],
)
def test_one_input_moves_and_the_others_are_fixed(
    fixed: dict, argument: Any, by_hand: Callable[[nn.Module, Tensor], Tensor]
):
    model = Gated().double()
    points = torch.randn(6, 3 if "x" in fixed or 0 in fixed else 2, dtype=torch.float64)
    network = transect.capture(model, points[0], fixed=fixed, argument=argument)
    torch.testing.assert_close(network(points), by_hand(model, points), rtol=1e-13, atol=1e-13)
    assert transect.trace(network, transect.Path(points)).verification.points > 0


def test_a_fixed_tensor_that_is_no_row_stays_as_it_is():
    class Mixed(nn.Module):
        def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
            return torch.relu(x @ adjacency)

    x, adjacency = torch.randn(4, 3), torch.randn(3, 3)
    network = transect.capture(Mixed(), x, fixed={"adjacency": adjacency})
    x, adjacency = x.double(), adjacency.double()
    torch.testing.assert_close(network(x), torch.relu(x @ adjacency))


def test_forward_passes_with_a_signature_of_any_kind():
    class Any_(nn.Module):
        def forward(self, *args: Tensor, **kwargs: Tensor) -> Tensor:
            return torch.relu(args[0] - args[1]) + kwargs["shift"]

    x, shift = torch.randn(4, 3, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)
    network = transect.capture(Any_(), x, fixed={1: X.new_ones(1, 3), "shift": shift})
    torch.testing.assert_close(network(x), torch.relu(x - 1) + shift)
    network = transect.capture(Any_(), x, fixed={0: X.new_ones(1, 3), "shift": shift})
    torch.testing.assert_close(network(x), torch.relu(1 - x) + shift)


def test_the_fixed_values_are_those_of_the_capture():
    y = Y.clone()
    network = transect.capture(Gated().double(), X[0], fixed={"y": y})
    before = network(X)
    y.add_(1)
    assert torch.equal(network(X), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"Its forward pass also takes y: give capture\(\.\.\., fixed=\{'y': \.\.\.\}\)"),
        ({"fixed": {"z": Y}}, r"Gated has no parameter 'z'; it has x, y, scale, mask"),
        ({"fixed": {7: Y}}, "no parameter 7"),
        ({"fixed": {True: Y}}, "no parameter True"),
        ({"fixed": [Y]}, r"fixed: expected a mapping.*got list"),
        ({"fixed": {"y": Y}, "argument": "z"}, "argument: the forward pass of Gated has no parameter 'z'"),
        ({"fixed": {"y": Y}, "argument": 1}, "argument: 1 is fixed as well"),
        ({"fixed": {"y": torch.zeros(2, 9)}}, "does not map a batch of it to one tensor"),
        ({"fixed": {"y": Y}, "preprocess": 3}, r"preprocess: expected a module or a function.*got int"),
    ],
)
def test_arguments_that_do_not_fit_are_named(options: dict, message: str):
    with pytest.raises(InvalidInput, match=message):
        transect.capture(Gated(), X[0], **options)


class Image(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def _standardised(x: Tensor) -> Tensor:
    mean, std = (torch.tensor(numbers, dtype=torch.float64).reshape(3, 1, 1) for numbers in (MEAN, STD))
    return (x - mean) / std


def _front(kind: str) -> Any:
    transforms = pytest.importorskip("torchvision.transforms")
    v2 = pytest.importorskip("torchvision.transforms.v2")
    return {
        "function": _standardised,
        "normalize": transforms.Normalize(MEAN, STD),
        "normalize v2": v2.Normalize(MEAN, STD),
        "compose": transforms.Compose([transforms.CenterCrop(8), transforms.Normalize(MEAN, STD)]),
        "resize": transforms.Compose([transforms.Resize(8, antialias=True), transforms.Normalize(MEAN, STD)]),
        "resize v2": nn.Sequential(v2.Resize([8, 8], antialias=False), v2.Normalize(MEAN, STD)),
    }[kind]


@pytest.mark.parametrize("kind", ["function", "normalize", "normalize v2", "compose", "resize", "resize v2"])
def test_paths_live_in_the_space_before_what_comes_in_front(kind: str):
    front, model = _front(kind), Image().double()
    side = 8 if kind in ("function", "normalize", "normalize v2") else 12
    x = torch.rand(3, 3, side, side, dtype=torch.float64)
    network = transect.capture(model, x[0], preprocess=front)
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(front(x)), rtol=1e-6, atol=1e-7)  # torchvision's are in float32
    assert network.input_shape == (3, side, side)
    assert network.operations == ("layers.1",)
    assert transect.trace(network, transect.Path(x)).verification.points > 0


def test_what_bends_smoothly_in_front_is_refused_where_it_is():
    with pytest.raises(UnsupportedModel, match=r"sigmoid\.default in preprocess \(Sigmoid\)"):
        transect.capture(Image(), torch.rand(3, 8, 8), preprocess=nn.Sigmoid())


def test_a_single_layer_has_no_source_line_of_ours():
    with pytest.raises(UnsupportedModel) as caught:
        transect.capture(nn.GELU(), torch.zeros(4))
    assert [problem.source for problem in caught.value.problems] == [""]


def test_arrays_are_fixed_values_too():
    network = transect.capture(Gated(), np.zeros(2), fixed={"y": np.ones((1, 3))})
    assert network.input_shape == (2,)
