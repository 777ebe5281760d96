"""Several inputs of which one moves, and what comes in front of a model: compared with the model called by hand."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
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


def _never(graph: Any, inputs: Any) -> Any:
    raise RuntimeError("asked to compile")


def _compiled(model: nn.Module) -> Any:
    return torch.compile(model, backend=_never)


def _in_place(model: nn.Module) -> nn.Module:
    model.compile(backend=_never)
    return model


WRAPPED: dict[str, Callable[[nn.Sequential], Any]] = {
    "compiled": _compiled,
    "compiled in place": _in_place,
    "spread over devices": nn.DataParallel,
    "spread, of a compiled one": lambda m: nn.DataParallel(_compiled(m)),
    "compiled, of a spread one": lambda m: _compiled(nn.DataParallel(m)),
    "compiled in place, spread, compiled": lambda m: _compiled(nn.DataParallel(_in_place(m))),
    "a part compiled": lambda m: nn.Sequential(_compiled(m[:2]), m[2]),
    "a part compiled in place": lambda m: nn.Sequential(_in_place(m[0]), *m[1:]),
    "a part spread": lambda m: nn.Sequential(nn.DataParallel(m), nn.Identity()),
    "a compiled function": lambda m: Applied(torch.compile(lambda x: m(x), backend=_never), m),
    "averaged": torch.optim.swa_utils.AveragedModel,
}


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor], layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, layers

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("what", WRAPPED)
def test_wrappers_are_looked_through_and_nothing_is_compiled(what: str):
    plain, x = _layers(), torch.randn(5, 4, dtype=torch.float64)
    with torch.no_grad():
        expected = plain(x)
    wrapped = WRAPPED[what](plain).eval()
    torch.testing.assert_close(transect.capture(wrapped, x)(x), expected, rtol=1e-13, atol=1e-13)
    with pytest.raises(Exception, match="asked to compile"):  # the user's own calls are compiled as before
        _compiled(_layers())(x)


@pytest.mark.parametrize("output", ["0.0", "0._orig_mod.0"])
def test_a_part_of_a_compiled_part_is_chosen_by_its_name_with_and_without_the_wrapper(output: str):
    plain, x = _layers(), torch.randn(5, 4, dtype=torch.float64)
    network = transect.capture(nn.Sequential(_compiled(plain), nn.Softmax(1)), x, output=output)
    torch.testing.assert_close(network(x), plain[0](x).detach(), rtol=1e-13, atol=1e-13)


def test_a_model_spread_over_processes(tmp_path: Path):
    plain, x = _layers(), torch.randn(5, 4, dtype=torch.float64)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        spread = nn.parallel.DistributedDataParallel(plain)
        for model in (spread, nn.parallel.DistributedDataParallel(_compiled(plain))):
            torch.testing.assert_close(transect.capture(model, x)(x), plain(x).detach(), rtol=1e-13, atol=1e-13)
        with pytest.raises(UnsupportedModel, match=r"0 \(DistributedDataParallel\) is spread.*ddp\.module"):
            transect.capture(nn.Sequential(spread, nn.ReLU()), x)
    finally:
        torch.distributed.destroy_process_group()


def _layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double().eval()


class Batch(dict):
    """A dictionary of a kind of its own."""


State = namedtuple("State", ["mask", "scale"])


@dataclass(frozen=True)
class Settings:
    mask: Any
    scale: Any


class OfBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3)

    def forward(self, batch: Batch, state: Any = None) -> Tensor:
        assert isinstance(batch, Batch)
        assert state is None or type(state) in (State, Settings, Batch)
        mask, scale = (state["mask"], state["scale"]) if isinstance(state, dict) else (state.mask, state.scale)
        return torch.relu(self.layer(batch["x"])) * scale * mask


@pytest.mark.parametrize("kind", [State, Settings, lambda mask, scale: Batch(mask=mask, scale=scale)])
@pytest.mark.parametrize("mask", [np.array([1.0, 0.0, 2.0]), torch.tensor([[1.0, 0.0, 2.0]])])
def test_fixed_values_keep_their_kind_beside_a_batch_made_in_front(kind: Any, mask: Any):
    """Arrays and tensors in them become the model's own dtype; the batch is no tensor, and has no shape."""
    model, x = OfBatch().double(), torch.randn(5, 4, dtype=torch.float64)
    network = transect.capture(model, x, preprocess=lambda x: Batch(x=2 * x), fixed={"state": kind(mask, 0.5)})
    expected = torch.relu(model.layer(2 * x)) * 0.5 * torch.as_tensor(mask, dtype=torch.float64)
    torch.testing.assert_close(network(x), expected.detach(), rtol=1e-13, atol=1e-13)
