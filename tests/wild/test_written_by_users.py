"""Models written as users write them: each is traced, has the crossings of its plain twin, and stays as it was.

The plain twin shares the weights, bends in nothing but ``nn.ReLU`` modules, and is marched from region to region
(``oracle.marching``), which knows nothing of export, rules or the engine.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

import transect
from oracle.marching import march
from transect.errors import TransectError, UnsupportedModel

Function = Callable[[Tensor], Tensor]
InReLUs = Callable[[nn.ReLU, Tensor], Tensor]

POSITION = 1e-9  # the marching tracer adds up its steps
OUTPUT = 1e-9  # relative to the largest output
SLOPE = 1e-6  # a change of slope larger than this, relative to the largest slope, is a bend
FEWEST = 2  # crossings below which a comparison would say little


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def path_through(*shape: int, dtype: torch.dtype = torch.float64) -> transect.Path:
    return transect.Path(3 * torch.randn(2, *shape, generator=torch.Generator().manual_seed(5), dtype=dtype))


def traced(model: nn.Module, path: transect.Path) -> transect.Trace:
    """A verified trace in float64; the model is afterwards what it was before."""
    before = everything(model)
    trace = transect.trace(model, path)
    assert_untouched(model, before)
    assert trace.dtype == torch.float64
    assert trace.verification.points > 0
    return trace


def assert_traced_like(model: nn.Module, plain: nn.Module, path: transect.Path) -> transect.Trace:
    """The trace of ``model`` has the knots and the outputs of ``plain``, marched and evaluated in float64."""
    trace = traced(model, path)
    plain, segment, (start, end) = as_double(plain), trace.segments[0], path.anchors.double()
    expected = torch.tensor([0.0, *march(plain, start, end).t, 1.0], dtype=torch.float64)
    assert len(expected) >= FEWEST + 2
    torch.testing.assert_close(segment.t, expected, rtol=0, atol=POSITION)
    assert_outputs(plain, path, segment)
    return trace


def assert_bends_like(model: nn.Module, plain: nn.Module, path: transect.Path) -> transect.Trace:
    """As above, but only the knots at which the slope of an output changes are the same.

    For max-pooling, whose twin takes the maximum of two and two: values that lose anyway may cross each other there.
    """
    trace = traced(model, path)
    plain, segment, (start, end) = as_double(plain), trace.segments[0], path.anchors.double()
    boundaries = torch.tensor([0.0, *march(plain, start, end).t, 1.0], dtype=torch.float64)
    found, expected = bends(plain, path, segment.t), bends(plain, path, boundaries)
    assert len(expected) >= FEWEST
    torch.testing.assert_close(found, expected, rtol=0, atol=POSITION)
    assert int(trace.linear_crossings) == len(expected)
    assert_outputs(plain, path, segment)
    return trace


def assert_outputs(plain: nn.Module, path: transect.Path, segment: Any) -> None:
    """The outputs at the knots, and midway between any two: the function is affine in between."""
    middle = (segment.t[1:] + segment.t[:-1]) / 2
    between = (segment.outputs[1:] + segment.outputs[:-1]) / 2
    for t, outputs in ((segment.t, segment.outputs), (middle, between)):
        expected = evaluated(plain, path, t)
        torch.testing.assert_close(outputs, expected, rtol=0, atol=OUTPUT * float(expected.abs().max()))


def bends(plain: nn.Module, path: transect.Path, t: Tensor) -> Tensor:
    """Those positions between the first and the last at which the slope of an output changes."""
    slopes = evaluated(plain, path, t).diff(dim=0) / t.diff().unsqueeze(1)
    return t[1:-1][(slopes.diff(dim=0).abs() > SLOPE * slopes.abs().max()).any(1)]


def evaluated(plain: nn.Module, path: transect.Path, t: Tensor) -> Tensor:
    start, end = path.anchors.double()
    with torch.no_grad():
        return plain(torch.stack([torch.lerp(start, end, float(position)) for position in t])).flatten(1)


def as_double(plain: nn.Module) -> nn.Module:
    """The module itself where it is double already: some modules cannot be copied."""
    if all(tensor.dtype == torch.float64 for tensor in plain.parameters()):
        return plain
    return copy.deepcopy(plain).double()


def everything(model: nn.Module) -> dict[str, Any]:
    """What must not change: every tensor with its identity and bits, flags, plain attributes and hooks."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    parts = list(model.named_modules())
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "tensors": [(name, id(value), value.dtype, value.requires_grad, value.grad) for name, value in tensors],
        "parts": [(name, type(part), part.training) for name, part in parts],
        "hooks": [{key: list(value) for key, value in vars(part).items() if isinstance(value, dict)}
                  for _, part in parts],
        "attributes": [{key: value for key, value in vars(part).items() if not isinstance(value, dict | Tensor)}
                       for _, part in parts],
    }  # fmt: skip


def assert_untouched(model: nn.Module, before: dict[str, Any]) -> None:
    after = everything(model)
    states = before.pop("state"), after.pop("state")
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert value.dtype == states[1][name].dtype
        assert torch.equal(value, states[1][name]), f"{name} has changed"
    assert after == before


def quick_and_slow(quick: Iterable[str], slow: Iterable[str]) -> list[Any]:
    """Names of cases: an export takes most of a second, so variants of the same thing are for ``make test-all``."""
    return [*quick, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]


def parted(table: Iterable[str], slow: list[str]) -> list[Any]:
    return quick_and_slow([name for name in table if name not in slow], slow)


# --- ReLU, however it is written, and every other bend ---


class Perceptron(nn.Module):
    """Three linear layers with a bend after two of them."""

    def __init__(self, bend: Function, layers: Iterable[nn.Module] | None = None) -> None:
        super().__init__()
        self.bend = bend
        made = [nn.Linear(4, 10), nn.Linear(10, 10), nn.Linear(10, 3)] if layers is None else layers
        self.layers = nn.ModuleList(made)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.bend(layer(x))
        return self.layers[-1](x)


class Expressed(nn.Module):
    """A bend written with one ReLU module, for the twin."""

    def __init__(self, in_relus: InReLUs) -> None:
        super().__init__()
        self.relu, self.in_relus = nn.ReLU(), in_relus

    def forward(self, x: Tensor) -> Tensor:
        return self.in_relus(self.relu, x)


WAYS_TO_WRITE_RELU: dict[str, Function] = {
    "nn.ReLU": nn.ReLU(),
    "torch.relu": torch.relu,
    "functional.relu_": functional.relu_,
    "x.relu_": lambda x: x.relu_(),
    "x.clamp(min=0)": lambda x: x.clamp(min=0),
    "x * (x > 0)": lambda x: x * (x > 0),
    "x * (x > 0).float()": lambda x: x * (x > 0).float(),
    "torch.where(x > 0, x, 0)": lambda x: torch.where(x > 0, x, 0),
    "x.masked_fill(x < 0, 0)": lambda x: x.masked_fill(x < 0, 0),
    "(x + x.abs()) / 2": lambda x: (x + x.abs()) / 2,
    "torch.max(x, zeros_like)": lambda x: torch.max(x, torch.zeros_like(x)),
    "torch.maximum(x, tensor)": lambda x: torch.maximum(x, torch.tensor(0.0)),
}
MORE_WAYS_TO_WRITE_RELU: dict[str, Function] = {
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "functional.relu": functional.relu,
    "functional.relu in place": lambda x: functional.relu(x, inplace=True),
    "x.relu": lambda x: x.relu(),
    "x.clamp_(0)": lambda x: x.clamp_(0),
    "x.clip(0)": lambda x: x.clip(0),
    "torch.clamp_min": lambda x: torch.clamp_min(x, 0.0),
    "(x >= 0) * x": lambda x: (x >= 0) * x,
    "x.mul_(x > 0)": lambda x: x.mul_(x > 0),
    "torch.where(x > 0, x, 0.0)": lambda x: torch.where(x > 0, x, 0.0),
    "torch.where(x < 0, zeros, x)": lambda x: torch.where(x < 0, torch.zeros_like(x), x),
    "torch.where(0 <= x, x, 0 * x)": lambda x: torch.where(0 <= x, x, 0 * x),  # noqa: SIM300
    "x.masked_fill_(x <= 0, 0.0)": lambda x: x.masked_fill_(x <= 0, 0.0),
    "x.masked_fill(~(x > 0), 0)": lambda x: x.masked_fill(~(x > 0), 0),
    "0.5 * (x + abs(x))": lambda x: 0.5 * (x + abs(x)),
    "x.maximum(new_zeros)": lambda x: x.maximum(x.new_zeros(())),
    "-torch.min(-x, zeros_like)": lambda x: -torch.min(-x, torch.zeros_like(x)),
    "x - x.clamp(max=0)": lambda x: x - x.clamp(max=0),
}


@pytest.mark.parametrize("way", quick_and_slow(WAYS_TO_WRITE_RELU, MORE_WAYS_TO_WRITE_RELU))
def test_relu_however_it_is_written_gives_the_crossings_of_nn_relu(way: str):
    model = Perceptron((WAYS_TO_WRITE_RELU | MORE_WAYS_TO_WRITE_RELU)[way]).double()
    layers = [part for layer in model.layers for part in (layer, nn.ReLU())]
    assert_traced_like(model, nn.Sequential(*layers[:-1]), path_through(4))


def _prelu(slopes: list[float]) -> nn.PReLU:
    module = nn.PReLU(len(slopes))
    with torch.no_grad():
        module.weight.copy_(torch.tensor(slopes))
    return module


SLOPES = [0.1 * number for number in range(-3, 7)]
LEVELS = torch.linspace(-0.5, 0.5, 10, dtype=torch.float64)

BENDS: dict[str, tuple[Function, InReLUs]] = {
    "nn.LeakyReLU": (nn.LeakyReLU(0.1), lambda r, x: r(x) - 0.1 * r(-x)),
    "nn.LeakyReLU in place": (nn.LeakyReLU(0.2, inplace=True), lambda r, x: r(x) - 0.2 * r(-x)),
    "functional.leaky_relu": (functional.leaky_relu, lambda r, x: r(x) - 0.01 * r(-x)),
    "torch.max(x, x / 8)": (lambda x: torch.max(x, x / 8), lambda r, x: r(x) - r(-x) / 8),
    "torch.where(x > 0, x, x / 8)": (lambda x: torch.where(x > 0, x, x / 8), lambda r, x: r(x) - r(-x) / 8),
    "nn.PReLU": (_prelu([0.25]), lambda r, x: r(x) - 0.25 * r(-x)),
    "nn.PReLU of ten slopes": (_prelu(SLOPES), lambda r, x: r(x) - torch.tensor(SLOPES).double() * r(-x)),
    "functional.prelu": (
        lambda x: functional.prelu(x, torch.tensor([0.5], dtype=x.dtype)),
        lambda r, x: r(x) - 0.5 * r(-x),
    ),
    "nn.RReLU": (nn.RReLU().eval(), lambda r, x: r(x) - (1 / 8 + 1 / 3) / 2 * r(-x)),
    "nn.ReLU6": (nn.ReLU6(), lambda r, x: r(6 * x) - r(6 * x - 6)),
    "functional.relu6": (functional.relu6, lambda r, x: r(6 * x) - r(6 * x - 6)),
    "nn.Hardtanh": (nn.Hardtanh(), lambda r, x: r(x + 1) - r(x - 1) - 1),
    "nn.Hardtanh of bounds": (nn.Hardtanh(-0.25, 0.5), lambda r, x: r(x + 0.25) - r(x - 0.5) - 0.25),
    "functional.hardtanh": (functional.hardtanh, lambda r, x: r(x + 1) - r(x - 1) - 1),
    "nn.Hardsigmoid": (nn.Hardsigmoid(), lambda r, x: (r(8 * x + 3) - r(8 * x - 3)) / 6),
    "functional.hardsigmoid": (functional.hardsigmoid, lambda r, x: (r(8 * x + 3) - r(8 * x - 3)) / 6),
    "torch.abs": (torch.abs, lambda r, x: r(x) + r(-x)),
    "x.abs_": (lambda x: x.abs_(), lambda r, x: r(x) + r(-x)),
    "abs(x)": (abs, lambda r, x: r(x) + r(-x)),
    "torch.clamp": (lambda x: torch.clamp(x, -0.5, 0.5), lambda r, x: r(x + 0.5) - r(x - 0.5) - 0.5),
    "x.clamp_": (lambda x: x.clamp_(-0.5, 0.5), lambda r, x: r(x + 0.5) - r(x - 0.5) - 0.5),
    "x.clamp(max)": (lambda x: x.clamp(max=0.25), lambda r, x: 0.25 - r(0.25 - x)),
    "x.clamp of tensors": (lambda x: x.clamp(min=LEVELS), lambda r, x: LEVELS + r(x - LEVELS)),
    "torch.maximum of a constant": (lambda x: torch.maximum(x, LEVELS), lambda r, x: LEVELS + r(x - LEVELS)),
    "torch.minimum of a constant": (lambda x: torch.minimum(x, LEVELS), lambda r, x: LEVELS - r(LEVELS - x)),
    "torch.maximum of two": (lambda x: torch.maximum(x, x.flip(1)), lambda r, x: x + r(x.flip(1) - x)),
    "torch.minimum of two": (lambda x: torch.minimum(x, x.roll(1, 1)), lambda r, x: x - r(x - x.roll(1, 1))),
    "torch.max of a pair": (
        lambda x: torch.max(x.view(-1, 5, 2), dim=2).values.repeat(1, 2),
        lambda r, x: (x[:, ::2] + r(x[:, 1::2] - x[:, ::2])).repeat(1, 2),
    ),
    "maxout": (
        lambda x: x.view(-1, 5, 2).amax(2).repeat(1, 2),
        lambda r, x: (x[:, ::2] + r(x[:, 1::2] - x[:, ::2])).repeat(1, 2),
    ),
    "concatenated ReLU": (
        lambda x: torch.cat([functional.relu(x[:, :5]), functional.relu(-x[:, :5])], 1),
        lambda r, x: torch.cat([r(x[:, :5]), r(-x[:, :5])], 1),
    ),
}  # fmt: skip
QUICK_BENDS = [
    "nn.LeakyReLU", "functional.leaky_relu", "nn.PReLU of ten slopes", "nn.ReLU6", "nn.Hardtanh of bounds",
    "nn.Hardsigmoid", "torch.abs", "torch.clamp", "x.clamp(max)", "torch.maximum of a constant", "torch.maximum of two",
    "maxout",
]  # fmt: skip
STRETCHED = {"nn.ReLU6": 6, "functional.relu6": 6, "nn.Hardsigmoid": 8, "functional.hardsigmoid": 8}


@pytest.mark.parametrize("name", quick_and_slow(QUICK_BENDS, [name for name in BENDS if name not in QUICK_BENDS]))
def test_bends_of_every_kind_as_modules_and_as_functions(name: str):
    """Those whose thresholds lie far out read values stretched as far, so that they cross both."""
    bend, in_relus = BENDS[name]
    factor = STRETCHED.get(name)
    model = Perceptron(bend if factor is None else Stretched(bend, factor)).double()
    assert_traced_like(model, Perceptron(Expressed(in_relus), model.layers).double(), path_through(4))


class Stretched(nn.Module):
    def __init__(self, bend: Function, factor: float) -> None:
        super().__init__()
        self.bend, self.factor = bend, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.bend(x * self.factor)


# --- Everything in place ---


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 10), nn.Linear(10, 10), nn.Linear(10, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        shortcut = x.clone()
        x = self.second(x)
        x += shortcut
        functional.relu_(x)
        x.mul_(0.5).add_(1).sub_(shortcut)
        x *= 2
        x /= 3
        x -= 0.1
        return self.third(x.relu_())


class OutOfPlace(nn.Module):
    def __init__(self, model: InPlace) -> None:
        super().__init__()
        self.model, self.relu = model, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.relu(self.model.first(x))
        x = self.relu(self.model.second(shortcut) + shortcut)
        x = (x * 0.5 + 1 - shortcut) * 2 / 3 - 0.1
        return self.model.third(self.relu(x))


def test_everything_in_place():
    model = InPlace().double()
    assert_traced_like(model, OutOfPlace(model), path_through(4))


def _written_into(x: Tensor) -> Tensor:
    x[:, 0] += 1
    x[:, 2:4] = 0.5
    x[:, -1].mul_(2)
    return x


def _filled(x: Tensor) -> Tensor:
    padded = torch.zeros(x.size(0), 12, dtype=x.dtype)
    padded[:, 1:11] = x
    return padded


def _altered(x: Tensor) -> Tensor:
    scale, offset = torch.ones(10, dtype=x.dtype), torch.zeros(10, dtype=x.dtype)
    scale[2:4], scale[-1], offset[0], offset[2:4] = 0, 2, 1, 0.5
    return x * scale + offset


WRITES: dict[str, tuple[Function, Function]] = {
    "into columns": (_written_into, _altered),
    "into an empty tensor": (_filled, lambda x: functional.pad(x, (1, 1))),
}


@pytest.mark.parametrize("name", WRITES)
def test_values_written_into_a_part_of_a_tensor(name: str):
    writes, plainly = WRITES[name]
    model = WithConstant(writes).double()
    model(torch.zeros(1, 4, dtype=torch.float64))
    plain = WithConstant(plainly)
    plain.first, plain.head = model.first, model.head
    assert_traced_like(model.double(), plain, path_through(4))


class ChangesItsInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.head = nn.Linear(4, 10), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2).sub_(1)
        return self.head(functional.relu_(self.linear(x)))


def test_a_model_that_writes_into_its_input_leaves_the_path_alone():
    model, path = ChangesItsInput().double(), path_through(4)
    anchors = path.anchors.clone()
    scaled = nn.Linear(4, 10).double()
    with torch.no_grad():
        scaled.weight.copy_(2 * model.linear.weight)
        scaled.bias.copy_(model.linear.bias - model.linear.weight.sum(1))
    assert_traced_like(model, nn.Sequential(scaled, nn.ReLU(), model.head), path)
    assert torch.equal(path.anchors, anchors)


# --- How modules are put together ---


class Shared(nn.Module):
    """One block and one ReLU, each called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block, self.head = nn.Linear(4, 10), nn.Linear(10, 10), nn.Linear(10, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        for _ in range(2):
            x = self.relu(self.block(x))
        return self.head(x)


def test_shared_modules_that_are_called_twice():
    model = Shared().double()
    plain = nn.Sequential(model.first, nn.ReLU(), model.block, nn.ReLU(), model.block, nn.ReLU(), model.head)
    trace = assert_traced_like(model, plain, path_through(4))
    assert trace.operations == ("relu", "relu@1", "relu@2")


def test_one_parameter_in_two_layers():
    model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10)).double()
    model[4].weight = model[2].weight
    assert_traced_like(model, model, path_through(4))


def test_nested_sequentials():
    model = nn.Sequential(
        nn.Sequential(nn.Sequential(nn.Linear(4, 10), nn.ReLU()), nn.Identity()),
        nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(10, 10)), nn.Dropout(0.5)), nn.ReLU()),
        nn.Sequential(nn.Linear(10, 3)),
    ).double()
    trace = assert_traced_like(model.eval(), model, path_through(4))
    assert trace.operations == ("0.0.1", "1.1")


class Loops(nn.Module):
    """A ModuleList, a ModuleDict and a ParameterList, gone through in loops."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4 if number == 0 else 10, 10) for number in range(3)])
        self.heads = nn.ModuleDict({"left": nn.Linear(10, 2), "right": nn.Linear(10, 3)})
        self.scales = nn.ParameterList([nn.Parameter(torch.rand(10) + 0.5) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for block, scale in zip(self.blocks, self.scales, strict=True):
            x = functional.relu(block(x)) * scale
        return torch.cat([head(x) for head in self.heads.values()], dim=-1)


class LoopsUnrolled(nn.Module):
    def __init__(self, model: Loops) -> None:
        super().__init__()
        self.model, self.relu = model, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.model.blocks
        scales = list(self.model.scales)
        x = scales[2] * self.relu(c(scales[1] * self.relu(b(scales[0] * self.relu(a(x))))))
        return torch.cat([self.model.heads["left"](x), self.model.heads["right"](x)], 1)


def test_lists_and_dictionaries_of_modules_in_loops():
    model = Loops().double()
    assert_traced_like(model, LoopsUnrolled(model), path_through(4))


class Functional(nn.Module):
    """Nothing but parameters and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.offset = nn.Parameter(torch.randn(6, 2, 3)), nn.Parameter(torch.randn(6))
        self.matrix = nn.Parameter(torch.randn(24, 5))
        self.register_buffer("mean", torch.randn(6))
        self.register_buffer("variance", torch.rand(6) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv1d(x, self.kernel, self.offset, padding=1)
        x = functional.relu(functional.batch_norm(x, self.mean, self.variance, training=self.training))
        x = functional.dropout(functional.avg_pool1d(x, 2), 0.5, self.training)
        return torch.flatten(x, 1) @ self.matrix


class FunctionalTwin(nn.Module):
    def __init__(self, model: Functional) -> None:
        super().__init__()
        self.model, self.relu = model, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv1d(x, self.model.kernel, self.model.offset, padding=1)
        mean, deviation = self.model.mean.unsqueeze(1), (self.model.variance.unsqueeze(1) + 1e-5).sqrt()
        x = self.relu((x - mean) / deviation)
        return ((x[:, :, ::2] + x[:, :, 1::2]) / 2).flatten(1) @ self.model.matrix


def test_functional_calls():
    model = Functional().double().eval()
    assert_traced_like(model, FunctionalTwin(model), path_through(2, 8))


# Every way to make a batch of vectors of a batch of images, and other moves that change no number.
FLATTENINGS: dict[str, Function] = {
    "x.view(x.size(0), -1)": lambda x: x.view(x.size(0), -1),
    "x.flatten(1)": lambda x: x.flatten(1),
    "cat of channels": lambda x: torch.cat([x[:, channel] for channel in range(x.shape[1])], 1),
    "cat of chunk": lambda x: torch.cat([part.squeeze(1) for part in x.chunk(4, dim=1)], 1),
    "cat of split": lambda x: torch.cat([part.flatten(1) for part in x.split([1, 3], dim=1)], 1),
}
MORE_FLATTENINGS: dict[str, Function] = {
    "x.view(-1, 24)": lambda x: x.view(-1, 24),
    "there and back": lambda x: x.permute(2, 1, 0).transpose(0, 2).contiguous().flatten(-2),
    "einsum": lambda x: torch.einsum("ncl->ncl", x).reshape(x.size(0), -1),
    "stack and flatten": lambda x: torch.stack([x[:, number] for number in range(4)], dim=1).flatten(1),
    "x.view(x.shape[0], -1)": lambda x: x.view(x.shape[0], -1),
    "x.reshape(x.size(0), -1)": lambda x: x.reshape(x.size(0), -1),
    "torch.flatten(x, start_dim=1)": lambda x: torch.flatten(x, start_dim=1),
    "nn.Flatten": nn.Flatten(),
    "n, c, l = x.shape": lambda x: _unpacked(x),
    "cat of unbind": lambda x: torch.cat(torch.unbind(x, 1), -1),
    "squeeze of unsqueeze": lambda x: x.unsqueeze(-1).squeeze(-1)[..., None].flatten(1, 3),
    "swapaxes and movedim": lambda x: x.swapaxes(1, 2).movedim(2, 1).flatten(1),
    "unflatten": lambda x: x.flatten(1).unflatten(1, (6, 4)).flatten(1),
    "narrow": lambda x: torch.cat([x.narrow(1, 0, 2), x.narrow(1, 2, 2)], 1).flatten(1),
}


def _unpacked(x: Tensor) -> Tensor:
    rows, channels, length = x.shape
    return x.contiguous().view(rows, channels * length)


@pytest.mark.parametrize("way", quick_and_slow(FLATTENINGS, MORE_FLATTENINGS))
def test_every_way_to_flatten_images(way: str):
    convolution, head = nn.Conv1d(2, 4, 3).double(), nn.Linear(24, 3).double()
    model = Chain(convolution, torch.relu, (FLATTENINGS | MORE_FLATTENINGS)[way], head)
    assert_traced_like(model, nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), head), path_through(2, 8))


class Chain(nn.Module):
    """Modules and functions one after the other."""

    def __init__(self, *parts: Function) -> None:
        super().__init__()
        self.modules_ = nn.ModuleList([part for part in parts if isinstance(part, nn.Module)])
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


# --- Weights that are computed ---


NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "old weight norm": lambda layer: nn.utils.weight_norm(layer),
    "new weight norm": lambda layer: nn.utils.parametrizations.weight_norm(layer),
    "old spectral norm": lambda layer: nn.utils.spectral_norm(layer),
    "new spectral norm": lambda layer: nn.utils.parametrizations.spectral_norm(layer),
    "orthogonal": lambda layer: nn.utils.parametrizations.orthogonal(layer),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", parted(NORMS, ["orthogonal"]))
def test_weights_that_are_normalised(name: str):
    layers = [nn.Linear(4, 10).double(), nn.Linear(10, 10).double()]
    for layer in layers:
        layer.weight.data.mul_(3)
    model = nn.Sequential(NORMS[name](layers[0]), nn.ReLU(), NORMS[name](layers[1]), nn.ReLU(), nn.Linear(10, 3))
    model.double().train()(torch.randn(5, 4, dtype=torch.float64))  # spectral norm iterates while it trains
    model.eval()(torch.zeros(1, 4, dtype=torch.float64))  # the old kinds set their weight at every call
    plain = [nn.Linear(layer.in_features, layer.out_features).double() for layer in layers]
    with torch.no_grad():
        for copied, layer in zip(plain, (model[0], model[2]), strict=True):
            copied.weight.copy_(layer.weight)
            copied.bias.copy_(layer.bias)
    assert_traced_like(model, nn.Sequential(plain[0], nn.ReLU(), plain[1], nn.ReLU(), model[4]), path_through(4))


class Standardised(nn.Conv1d):
    """Weight standardisation: the weight of the convolution is computed at every call."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2), keepdim=True)
        weight = weight / (weight.std((1, 2), keepdim=True) + 1e-5)
        return functional.conv1d(x, weight, self.bias, padding=1)


def test_a_weight_that_is_standardised_at_every_call():
    model = nn.Sequential(Standardised(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).double()
    assert_traced_like(model, model, path_through(2, 8))


class Masked(nn.Module):
    """A pruned layer and a parameter on which autograd is cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Linear(4, 12), nn.Linear(12, 3), nn.ReLU()
        self.register_buffer("mask", torch.rand(12, 4) > 0.3)

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.where(self.mask, self.first.weight, 0).detach()
        return self.second(self.relu(functional.linear(x, weight, self.first.bias.softmax(0))))


def test_constants_may_be_computed_by_any_operation():
    model = Masked().double()
    assert_traced_like(model, model, path_through(4))


def test_pruned_layers():
    model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 3)).double()
    prune.l1_unstructured(model[0], "weight", amount=0.3)
    assert_traced_like(model, model, path_through(4))


# --- Constants made in the forward pass ---


class WithConstant(nn.Module):
    """A perceptron whose hidden layer meets a constant on its way."""

    def __init__(self, meets: Function) -> None:
        super().__init__()
        self.first, self.head, self.relu, self.meets = nn.Linear(4, 10), nn.LazyLinear(3), nn.ReLU(), meets

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.meets(self.first(x))))


CONSTANTS: dict[str, Function] = {
    "torch.zeros of the batch": lambda x: torch.cat([x, torch.zeros(x.size(0), 2, dtype=x.dtype)], 1),
    "torch.ones on the device": lambda x: torch.cat([torch.ones(x.shape[0], 1, device=x.device, dtype=x.dtype), x], 1),
    "torch.zeros_like": lambda x: torch.cat([torch.zeros_like(x), x], 1),
    "torch.arange": lambda x: x * torch.arange(10) + 0.125 * torch.arange(10.0),
    "torch.eye": lambda x: x @ torch.eye(10, dtype=x.dtype)[:, :7],
    "torch.tensor": lambda x: x * torch.tensor([1.0, -2.0] * 5, dtype=x.dtype) + torch.tensor(0.1),
    "positions expanded to the batch": lambda x: x + 0.125 * torch.arange(10.0).unsqueeze(0).expand(x.size(0), -1),
}
MORE_CONSTANTS: dict[str, Function] = {
    "torch.ones of the batch": lambda x: torch.cat([x, torch.ones(x.size(0), 1)], 1),
    "x.new_zeros": lambda x: torch.cat([x.new_zeros(x.size(0), 3), x], 1),
    "torch.ones_like": lambda x: x + torch.ones_like(x),
    "torch.full": lambda x: x + torch.full((10,), 0.25),
    "torch.arange of the width": lambda x: x + torch.arange(x.size(1)) / x.size(1),
    "torch.linspace": lambda x: x - torch.linspace(-1, 1, 10, dtype=x.dtype),
    "torch.eye added": lambda x: (x.unsqueeze(1) + torch.eye(10, dtype=x.dtype)[:3]).flatten(1),
    "torch.tril": lambda x: x @ torch.tril(torch.ones(10, 10, dtype=x.dtype)),
    "a scalar of the width": lambda x: x * x.size(-1) ** -0.5,
    "torch.full of the batch": lambda x: x + torch.full((x.size(0), 10), 0.25),
    "positions repeated for the batch": lambda x: x + 0.125 * torch.arange(10.0).repeat(x.size(0), 1),
}


@pytest.mark.parametrize("name", quick_and_slow(CONSTANTS, MORE_CONSTANTS))
def test_constants_made_in_the_forward_pass(name: str):
    model = WithConstant((CONSTANTS | MORE_CONSTANTS)[name]).double()
    model(torch.zeros(1, 4, dtype=torch.float64))  # the lazy layer learns its size
    assert_traced_like(model.double(), model, path_through(4))


class Token(nn.Module):
    """A learned token in front of the positions of every sample, as in a ViT."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.positions = nn.Parameter(torch.randn(1, 1, 6)), nn.Parameter(torch.randn(1, 5, 6))
        self.embed, self.mix, self.head, self.relu = nn.Linear(3, 6), nn.Linear(5, 5), nn.Linear(6, 2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), self.embed(x)], dim=1) + self.positions
        x = x + self.mix(self.relu(x).transpose(1, 2)).transpose(1, 2)
        return self.head(self.relu(x)[:, 0])


def test_a_learned_token_in_front_of_every_sample():
    model = Token().double()
    assert_traced_like(model, model, path_through(4, 3))


# --- Dtypes and modes ---


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 3))


FLOATS = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize(
    ("own", "path_dtype"),
    [
        *zip(FLOATS, [torch.float32, torch.float64, torch.float64, torch.float64], strict=True),
        *(
            pytest.param(*dtypes, marks=pytest.mark.slow)
            for dtypes in zip(FLOATS, [torch.float64, *[torch.float32] * 3], strict=True)
        ),
    ],
)
def test_models_of_any_dtype_on_paths_of_any_other(own: torch.dtype, path_dtype: torch.dtype):
    """The trace is that of the same weights in float64."""
    model = perceptron().to(own)
    assert_traced_like(model, model, path_through(4, dtype=path_dtype))


@pytest.mark.parametrize("own", [torch.float32, torch.bfloat16])
def test_convolutions_and_batch_norm_of_lower_precision(own: torch.dtype):
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3))
    with_statistics(model).to(own)
    assert_traced_like(model, model, path_through(2, 8))


CASTS: dict[str, Function] = {
    "x.float()": lambda x: x.float(),
}
MORE_CASTS: dict[str, Function] = {
    "x.to(torch.float32)": lambda x: x.to(torch.float32),
    "x.type(torch.float32)": lambda x: x.type(torch.float32),
    "x.double().float()": lambda x: x.double().float(),
    "x.to(device, dtype)": lambda x: x.to("cpu", torch.float32),
    "x.type_as": lambda x: x.type_as(torch.zeros(1)),
}


@pytest.mark.parametrize("cast", quick_and_slow(CASTS, MORE_CASTS))
def test_casts_inside_the_forward_pass(cast: str):
    plain = perceptron()
    assert_traced_like(Chain((CASTS | MORE_CASTS)[cast], plain), plain, path_through(4))


class Mixed(nn.Module):
    """A body in half precision and a head in float32, as users of mixed precision write it."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.relu = nn.Linear(4, 10).bfloat16(), nn.Linear(10, 3), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.body(x.to(torch.bfloat16))).float())


def test_a_model_of_two_dtypes():
    model = Mixed()
    plain = nn.Sequential(copy.deepcopy(model.body), nn.ReLU(), model.head)
    assert_traced_like(model, plain, path_through(4))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_traced_in_any_mode_of_autograd(mode: Callable[[], Any]):
    model, path = perceptron().double(), path_through(4)
    with mode():
        inside = transect.trace(model, path)
    outside = assert_traced_like(model, model, path)
    assert torch.equal(inside.segments[0].t, outside.segments[0].t)
    assert torch.equal(inside.segments[0].outputs, outside.segments[0].outputs)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_made_in_any_mode_of_autograd(mode: Callable[[], Any]):
    with mode():
        model = perceptron().double()
    assert_traced_like(model, copy.deepcopy(model), path_through(4))


class Decorated(nn.Module):
    def __init__(self, mode: Callable[[], Any]) -> None:
        super().__init__()
        self.layers, self.mode = perceptron(), mode

    def forward(self, x: Tensor) -> Tensor:
        with self.mode():
            return self.layers(x)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_forward_pass_that_sets_the_mode_itself(mode: Callable[[], Any]):
    model = Decorated(mode).double()
    assert_traced_like(model, model.layers, path_through(4))


def test_frozen_parameters_gradients_and_hooks_of_the_users_own():
    model, calls = perceptron().double(), []
    model[0].requires_grad_(False)
    model(torch.ones(2, 4, dtype=torch.float64)).sum().backward()
    model[2].register_forward_hook(lambda *_: calls.append(1))
    assert_traced_like(model, model, path_through(4))
    assert len(model[2]._forward_hooks) == 1


def _never(*_: Any) -> Any:
    raise AssertionError("compiled code must not be needed for a trace")


def test_a_compiled_module_is_the_module_it_wraps():
    """Traced without a compiler: the backend given here refuses to compile anything."""
    plain = perceptron().double()
    model = torch.compile(plain, backend=_never)
    assert_traced_like(model, plain, path_through(4))


def test_a_module_with_a_compiled_part():
    plain = perceptron().double()
    model = nn.Sequential(torch.compile(plain[:2], backend=_never), *plain[2:])
    assert_traced_like(model, plain, path_through(4))


class ManyArguments(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor, mask: Tensor | None = None, *, scale: float = 1.0, **unused: Any) -> Tensor:
        return self.layers(x if mask is None else x * mask) * scale


@pytest.mark.parametrize("wrap", [ManyArguments, nn.DataParallel])
def test_modules_whose_forward_takes_more_arguments(wrap: Callable[[nn.Module], nn.Module]):
    plain = perceptron().double()
    assert_traced_like(wrap(plain), plain, path_through(4))


# --- Buffers that change ---


class Counting(nn.Module):
    """Counts its calls, and may let its output depend on the count."""

    def __init__(self, reads: bool) -> None:
        super().__init__()
        self.layers, self.reads = perceptron(), reads
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("largest", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.largest = torch.maximum(self.largest, x.detach().abs().amax(0))
        return self.layers(x) + (self.calls if self.reads else 0)


def test_a_buffer_that_changes_without_effect_is_noted_and_stays_as_it_was():
    model = Counting(reads=False).double()
    assert_traced_like(model, model.layers, path_through(4))
    notes = transect.capture(model, torch.zeros(4)).graph.notes
    assert [name for name in ("calls", "largest") if not any(name in note for note in notes)] == []


class Rebinding(nn.Module):
    """Puts another tensor in the place of its buffer, and reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.step = self.step + 1
        return torch.relu(x) * self.step


@pytest.mark.parametrize("model", [Rebinding(), nn.Sequential(nn.Linear(4, 4), Rebinding())], ids=["root", "nested"])
def test_a_buffer_that_is_put_in_the_place_of_another_is_seen_at_any_depth(model: nn.Module):
    with pytest.raises(UnsupportedModel, match="another function at every call"):
        transect.capture(model, torch.ones(4))
    assert float(next(model.buffers())) == 0


def test_a_buffer_that_changes_the_output_is_refused_and_stays_as_it_was():
    model = Counting(reads=True).double()
    before = everything(model)
    with pytest.raises(UnsupportedModel, match=r"calls"):
        transect.capture(model, torch.zeros(4))
    assert_untouched(model, before)


# --- What must be refused ---


FIXED: dict[str, tuple[Function, int]] = {
    "x.view(1, -1)": (lambda x: x.view(1, -1), 1),
    "x.view(1, 4)": (lambda x: x.view(1, 4), 1),
    "x.reshape(4, 4)": (lambda x: x.reshape(4, 4), 4),
    "x.view(2, 2, -1)": (lambda x: x.view(2, 2, -1).flatten(1), 2),
    "torch.zeros(4, 4)": (lambda x: torch.cat([x, torch.zeros(4, 4, dtype=x.dtype)], 1)[:, :4], 4),
    "x.view(len(x), -1)": (lambda x: x.view(len(x), -1), 4),
}


@pytest.mark.parametrize("way", FIXED)
def test_a_fixed_batch_size_is_refused_by_name(way: str):
    """``len(x)`` is a plain number to torch.export, whatever the batch; the message says what to write instead."""
    forward, rows = FIXED[way]
    model = Chain(forward, nn.Linear(4, 3).double(), nn.ReLU())
    before = everything(model)
    with pytest.raises(UnsupportedModel, match=r"(?s)fixes its batch size.*x\.size\(0\)"):
        transect.capture(model, torch.ones(rows, 4))
    assert_untouched(model, before)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_batch_size_that_is_not_that_of_the_example_is_quoted(rows: int):
    model = Chain(lambda x: x.reshape(4, 4), nn.Linear(4, 3).double())
    with pytest.raises(TransectError, match=r"batch.*(?s:.)*\[4, 4\]"):
        transect.capture(model, torch.ones(rows, 4))


MIXING: dict[str, Function] = {
    "centred on the batch": lambda x: x - x.mean(0),
    "scaled by the largest of the batch": lambda x: x / x.abs().max(),
    "batch norm without running statistics": nn.BatchNorm1d(4, track_running_stats=False),
    "similarities within the batch": lambda x: x @ x.t(),
    "shuffled": lambda x: x.flip(0),
    "summed up along the batch": lambda x: x.cumsum(0),
    "differences along the batch": lambda x: x - torch.roll(x, 1, 0),
    "channels and samples confused": lambda x: x.reshape(4, -1).t() + x,
    "every second sample": lambda x: x[::2].repeat(2, 1)[: x.size(0)],
}


MORE_MIXING = ["scaled by the largest of the batch", "shuffled", "differences along the batch", "every second sample"]


@pytest.mark.parametrize("way", parted(MIXING, MORE_MIXING))
def test_a_model_that_mixes_its_samples_is_refused(way: str):
    model = Chain(MIXING[way], nn.ReLU()).double().eval()
    before = everything(model)
    with pytest.raises(TransectError):
        transect.capture(model, torch.rand(4, 4))
    assert_untouched(model, before)


# --- Architectures ---


def with_statistics(model: nn.Module) -> nn.Module:
    """The model in evaluation mode with batch norms that do something."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


class Skips(nn.Module):
    """Skip connections by sum and by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(16, 8)
        self.head, self.relu = nn.Linear(12, 3), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        one = self.relu(self.first(x))
        two = self.relu(one + self.second(one))
        three = self.relu(self.third(torch.cat([one, two], dim=1)) - two)
        return self.head(torch.cat((three, x), -1))


class Inception(nn.Module):
    """Four branches, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(2, 2, 1)
        self.three = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1))
        self.factored = nn.Sequential(nn.Conv2d(2, 2, (1, 3), padding=(0, 1)), nn.Conv2d(2, 2, (3, 1), padding=(1, 0)))
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(2, 2, 1))
        self.relu, self.head = nn.ReLU(), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        branches = [branch(x) for branch in (self.one, self.three, self.factored, self.pooled)]
        x = self.relu(torch.cat(branches, 1))
        return self.head(x.mean(dim=[2, 3]))


class Dense(nn.Module):
    """DenseNet: every layer reads the outputs of all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Sequential(nn.BatchNorm2d(2 + 2 * n), nn.ReLU(), nn.Conv2d(2 + 2 * n, 2, 3, padding=1, bias=False))
             for n in range(3)]
        )  # fmt: skip
        self.transition = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.AvgPool2d(2))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        x = self.transition(torch.cat(features, 1))
        return self.head(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class Shuffle(nn.Module):
    """ShuffleNet: half of the channels worked on, then all shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2), nn.ReLU(),
            nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(2),
            nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            kept, worked = x.chunk(2, dim=1)
            x = self.shuffled(torch.cat((kept, self.branch(worked)), dim=1), 2)
        return self.head(x.mean([2, 3]))

    @staticmethod
    def shuffled(x: Tensor, groups: int) -> Tensor:
        rows, channels, height, width = x.size()
        x = x.view(rows, groups, channels // groups, height, width)
        x = torch.transpose(x, 1, 2).contiguous()
        return x.view(rows, -1, height, width)


class Grouped(nn.Module):
    """ResNeXt: a bottleneck with a grouped convolution, and a projected shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, 2, 1, groups=4, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4),
        )  # fmt: skip
        self.shortcut = nn.Sequential(nn.Conv2d(2, 4, 1, 2, bias=False), nn.BatchNorm2d(4))
        self.relu, self.head = nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.body(x) + self.shortcut(x)).mean((-2, -1)))


class Recurrent(nn.Module):
    """An Elman network unrolled over its steps, with a state made for the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.keep, self.head, self.relu = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(x.size(0), 6, dtype=x.dtype, device=x.device)
        for step in range(x.size(1)):
            state = self.relu(self.read(x[:, step]) + self.keep(state))
        return self.head(state)


class Sets(nn.Module):
    """Deep sets: one network on every element, a sum, and another network."""

    def __init__(self) -> None:
        super().__init__()
        self.element = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8))
        self.whole = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(self.element(x).sum(dim=1))


class Mixer(nn.Module):
    """MLP-Mixer with ReLU and batch norm: patches, then layers along positions and along channels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(1, 4, 2, 2), nn.BatchNorm1d(9)
        self.tokens = nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 9))
        self.channels = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(x)
        return self.head(x.mean(1))


class Causal(nn.Module):
    """A temporal network: dilated convolutions, padded on the left only."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv1d(2, 2, 2, dilation=2**n) for n in range(3)])
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            x = x + self.relu(layer(functional.pad(x, (2**number, 0))))
        return x[:, :, -1]


class SuperResolution(nn.Module):
    """Sub-pixel convolution: channels become places."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
        self.shuffle, self.last = nn.PixelShuffle(2), nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.shuffle(self.layers(x)))


class Padded(nn.Module):
    """Paddings of every kind before convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.reflected = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(1, 2, 3), nn.ReLU())
        self.replicated = nn.Sequential(nn.ReplicationPad2d((1, 1, 0, 2)), nn.Conv2d(2, 2, 3), nn.ReLU())
        self.zeros = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(2, 2, 3, stride=2), nn.ReLU())
        self.circular = nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        return self.circular(self.zeros(self.replicated(self.reflected(x)))).flatten(1)


class Upsampled(nn.Module):
    """An autoencoder whose decoder enlarges by interpolation."""

    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 3, 3, 2, 1), nn.ReLU(), nn.Conv2d(3, 3, 3, 2, 1), nn.ReLU())
        self.decoder, self.how = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 1)), how

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(functional.interpolate(self.encoder(x), **self.how))


class Transposed(nn.Module):
    """An autoencoder whose decoder enlarges by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 3, 3, 2, 1), nn.ReLU())
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1), nn.BatchNorm2d(2), nn.ReLU(),
            nn.Conv2d(2, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class Volumes(nn.Module):
    """A 3-D convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.BatchNorm3d(2), nn.ReLU(), nn.AvgPool3d(2))
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3, 4)))


class ParallelHeads(nn.Module):
    """Several heads, stacked, one of them chosen by an index that is a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.relu = nn.Linear(4, 10), nn.ReLU()
        self.heads = nn.ModuleList([nn.Linear(10, 2) for _ in range(3)])
        self.register_buffer("order", torch.tensor([2, 0]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.body(x))
        stacked = torch.stack([head(x) for head in self.heads], dim=1)
        return self.relu(stacked[:, self.order]).flatten(1)


ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "skip connections": (Skips, (4,)),
    "Inception": (Inception, (2, 5, 5)),
    "DenseNet": (Dense, (2, 4, 4)),
    "ShuffleNet": (Shuffle, (4, 4, 4)),
    "ResNeXt": (Grouped, (2, 4, 4)),
    "recurrent": (Recurrent, (5, 3)),
    "deep sets": (Sets, (4, 3)),
    "MLP-Mixer": (Mixer, (1, 6, 6)),
    "causal convolutions": (Causal, (2, 8)),
    "super-resolution": (SuperResolution, (1, 3, 3)),
    "paddings": (Padded, (1, 5, 5)),
    "nearest": (lambda: Upsampled(scale_factor=2), (1, 8, 8)),
    "nearest to a size": (lambda: Upsampled(size=(5, 3), mode="nearest"), (1, 8, 8)),
    "nearest exact": (lambda: Upsampled(scale_factor=2, mode="nearest-exact"), (1, 8, 8)),
    "bilinear": (lambda: Upsampled(scale_factor=2, mode="bilinear"), (1, 8, 8)),
    "bilinear with corners": (lambda: Upsampled(size=(5, 5), mode="bilinear", align_corners=True), (1, 8, 8)),
    "bicubic": (lambda: Upsampled(scale_factor=2, mode="bicubic"), (1, 8, 8)),
    "transposed convolutions": (Transposed, (1, 6, 6)),
    "volumes": (Volumes, (1, 4, 4, 4)),
    "parallel heads": (ParallelHeads, (4,)),
}


MORE_ARCHITECTURES = """recurrent, deep sets, MLP-Mixer, nearest to a size, nearest exact, bilinear with corners,
bicubic, volumes, parallel heads""".replace("\n", " ").split(", ")


@pytest.mark.parametrize("name", parted(ARCHITECTURES, MORE_ARCHITECTURES))
def test_architectures_as_they_are_written(name: str):
    """Each bends in ``nn.ReLU`` modules only, so it is its own plain twin."""
    make, shape = ARCHITECTURES[name]
    model = with_statistics(make()).double()
    assert_traced_like(model, model, path_through(*shape))


class Separable(nn.Module):
    """MobileNet: inverted residuals with depthwise convolutions and ReLU6."""

    def __init__(self, bend: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 6, 1, bias=False), nn.BatchNorm2d(6), bend(),
            nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6), bend(),
            nn.Conv2d(6, 2, 1, bias=False), nn.BatchNorm2d(2),
        )  # fmt: skip
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((x + self.body(x)).mean([2, 3]))


def test_inverted_residuals_with_relu6():
    """Inputs large enough to reach the upper threshold."""
    model = with_statistics(Separable(lambda: nn.ReLU6(inplace=True))).double()
    plain = with_statistics(Separable(lambda: Expressed(lambda r, x: r(x) - r(x - 6)))).double()
    plain.load_state_dict(model.state_dict())
    path = transect.Path(8 * path_through(2, 4, 4).anchors)
    trace = assert_traced_like(model, plain, path)
    assert {2} <= set(trace.segments[0].flips.after.tolist()), "no unit has reached the upper threshold"


class MaximumOfTwo(nn.Module):
    """Max-pooling over two by two places, as ReLUs of differences."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = x[..., ::2] + self.relu(x[..., 1::2] - x[..., ::2])
        return x[..., ::2, :] + self.relu(x[..., 1::2, :] - x[..., ::2, :])


class UNet(nn.Module):
    """Down by pooling, up by a transposed convolution or an interpolation, with concatenated skips."""

    def __init__(self, pool: nn.Module, up: nn.Module) -> None:
        super().__init__()
        self.down, self.pool = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU()), pool
        self.middle, self.up = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU()), up
        self.last = nn.Sequential(nn.LazyConv2d(2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        skipped = self.down(x)
        x = self.up(self.middle(self.pool(skipped)))
        return self.last(torch.cat([skipped, x], dim=1))


POOLS: dict[str, Callable[[], nn.Module]] = {
    "nn.MaxPool2d": lambda: nn.MaxPool2d(2),
    "functional.max_pool2d": lambda: Chain(lambda x: functional.max_pool2d(x, kernel_size=2, stride=2)),
    "adaptive": lambda: nn.AdaptiveMaxPool2d(2),
    "amax": lambda: Chain(lambda x: x.unflatten(3, (2, 2)).unflatten(2, (2, 2)).amax((3, 5))),
}
UPS: dict[str, Callable[[], nn.Module]] = {
    "transposed convolution": lambda: nn.ConvTranspose2d(4, 2, 2, 2),
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
}


@pytest.mark.parametrize("pool", POOLS)
def test_max_pooling_of_every_kind(pool: str):
    head = [nn.Flatten(), nn.Linear(8, 3)]
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), POOLS[pool](), *head).double()
    assert_bends_like(model, nn.Sequential(model[0], MaximumOfTwo(), *head), path_through(1, 4, 4))


@pytest.mark.parametrize("up", UPS)
def test_u_nets_with_max_pooling(up: str):
    model = UNet(nn.MaxPool2d(2), UPS[up]())
    model(torch.zeros(2, 1, 4, 4))
    model = with_statistics(model).double()
    plain = copy.deepcopy(model)
    plain.pool = MaximumOfTwo()
    assert_bends_like(model, plain, path_through(1, 4, 4))


def test_u_nets_with_average_pooling():
    model = UNet(nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear"))
    model(torch.zeros(2, 1, 4, 4))
    model = with_statistics(model).double()
    assert_traced_like(model, model, path_through(1, 4, 4))


def test_overlapping_max_pooling_after_relu():
    """The stem of a ResNet; zeros tie for the maximum there, and that is no crossing that bends."""
    head = [nn.Flatten(), nn.Linear(8, 3)]
    stem = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2), nn.ReLU(inplace=True))
    model = with_statistics(nn.Sequential(stem, nn.MaxPool2d(3, stride=2, padding=1), *head)).double()
    plain = nn.Sequential(*stem[:2], nn.ReLU(), MaximumOfNine(), *head)
    assert_bends_like(model, plain.eval(), path_through(1, 4, 4))


class MaximumOfNine(nn.Module):
    """Max-pooling over three by three places with stride two and padding one, of values that are not negative."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (1, 1, 1, 1))
        x = self._three(x[..., :-2:2], x[..., 1:-1:2], x[..., 2::2])
        return self._three(x[..., :-2:2, :], x[..., 1:-1:2, :], x[..., 2::2, :])

    def _three(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        two = a + self.relu(b - a)
        return two + self.relu(c - two)
