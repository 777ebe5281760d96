"""Models and arguments that cannot be traced: each is refused before any number is computed, by a message that helps.

What belongs to single arguments is in ``test_errors_a_user_meets.py``; here are whole models, and samples that mix.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect
from transect.errors import InvalidInput, TraceTooLarge, TransectError, UnsupportedModel
from transect.study.models.resnet import resnet18

Forward = Callable[[nn.Module, Tensor], object]


class Written(nn.Module):
    """A module with a forward of the test's own, and a few layers for it to use."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self._forward = forward
        self.linear, self.convolution = nn.Linear(4, 5), nn.Conv1d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> object:
        return self._forward(self, x)


def _path(*shape: int) -> transect.Path:
    return transect.Path(torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)))


MIXING: dict[str, tuple[Forward, tuple[int, ...], str]] = {
    "order reversed": (lambda m, x: torch.relu(x.flip(0)), (4,), "flip"),
    "order reversed by index": (lambda m, x: x[torch.arange(x.size(0) - 1, -1, -1)], (4,), "arange"),
    "neighbours added": (lambda m, x: x + x.roll(1, 0), (4,), "sample to sample"),
    "mean of the batch": (lambda m, x: x - x.mean(0), (4,), "mean"),
    "maximum of the batch": (lambda m, x: x - x.amax(0), (4,), "amax"),
    "first sample": (lambda m, x: m.linear(x) - m.linear(x[0]), (4,), "select"),
    "first sample as a slice": (lambda m, x: x - x[:1], (4,), "slice"),
    "all pairs": (lambda m, x: (x.unsqueeze(0) - x.unsqueeze(1)).sum(1), (4,), "folds the samples"),
    "channels as samples": (lambda m, x: m.linear(x.view(x.size(0) * 3, 4)).view(x.size(0), 3, 5), (3, 4), "view"),
    "two copies of the batch": (lambda m, x: torch.cat([x, x], 0).view(x.size(0), 8), (4,), "cat"),
    "batch norm of the batch": (lambda m, x: functional.batch_norm(x, None, None, training=True), (4,), "statistic"),
    "softmax over the batch": (lambda m, x: x.softmax(0), (4,), "softmax"),
    "norm of the batch": (lambda m, x: x / x.norm(), (4,), "pow"),
    "scaled by the batch size": (lambda m, x: x * x.size(0), (4,), "number of samples"),
    "convolved over the batch": (lambda m, x: m.convolution(x.transpose(0, 1)).transpose(0, 1), (3, 8), "batch size"),
    "one number for all": (lambda m, x: x.sum(), (4,), "row for each input"),
    "another branch for one sample": (lambda m, x: torch.relu(x) if x.size(0) == 1 else x, (4,), "samples of a batch"),
}


@pytest.mark.parametrize("what", MIXING)
def test_models_whose_samples_depend_on_one_another_are_refused(what: str):
    forward, shape, message = MIXING[what]
    with pytest.raises(TransectError, match=message):
        transect.capture(Written(forward), torch.randn(shape, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: torch.relu(m.linear(x).t()).t(),
        lambda m, x: torch.stack(list(m.linear(x).unbind(1)), 1),
        lambda m, x: torch.cat([x.new_zeros(x.size(0), 2), x], 1),
        lambda m, x: torch.cat([torch.zeros_like(x), x], 1),
        lambda m, x: m.linear(x) - m.linear(x).mean(1, keepdim=True),
        lambda m, x: m.linear(x.unsqueeze(1).expand(-1, 3, -1)).sum(1),
    ],
)
def test_models_that_only_move_samples_about_are_traced(forward: Forward):
    """Refusing what mixes must not refuse what does not: the trace is verified against the module by itself."""
    model, path = Written(forward).double(), _path(4)
    assert transect.trace(model, path).verification.points > 0


class Attention(nn.Module):
    """Several things that are not piecewise affine, at several depths of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 6))
        self.gates = nn.ModuleList([nn.Sigmoid(), nn.Tanh()])
        self.norm, self.relu = nn.LayerNorm(6), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.relu(self.embed(x)))
        for gate in self.gates:
            y = y * gate(y)
        return torch.softmax(y, -1)


def test_every_offending_operation_of_a_model_is_in_one_error():
    """Each with its module's path and class, its source line, the reason, and what to do; nothing else is listed."""
    with pytest.raises(UnsupportedModel) as caught:
        transect.capture(Attention(), torch.zeros(4))
    message = str(caught.value)
    expected = [
        "gelu.default in embed.1 (GELU)",
        "layer_norm.default in norm (LayerNorm)",
        "sigmoid.default in gates.0 (Sigmoid)",
        "tanh.default in gates.1 (Tanh)",
        "softmax.int in ",
    ]
    assert [part for part in expected if part not in message] == []
    assert "mul.Tensor, 2 times, in model (Attention): it multiplies" in message
    assert "7 operation(s)" in message
    assert message.count("What to do:") == 6
    assert len(caught.value.problems) == 7
    assert "piecewise affine" in message
    assert "aten.relu" not in message
    assert "aten.linear" not in message
    assert __file__ in message


def test_one_smooth_layer_deep_in_a_network_is_found():
    model = resnet18(1, (3, 8, 8), 5)
    model.layer3[1].relu1 = nn.SiLU()
    with pytest.raises(UnsupportedModel, match=r"1 operation.*\n.*silu\.default in layer3\.1\.relu1 \(SiLU\)"):
        transect.capture(model, torch.zeros(3, 8, 8))


def test_training_mode_of_a_whole_network_is_refused_with_the_remedy():
    model = resnet18(1, (3, 8, 8), 5, batch_norm=True)
    with pytest.raises(InvalidInput, match=r"stem\.norm \(BatchNorm2d\) is in training mode.*19 more.*model\.eval\(\)"):
        transect.capture(model, torch.zeros(3, 8, 8))


def test_training_mode_matters_only_where_it_changes_something():
    assert transect.trace(nn.Sequential(nn.Linear(4, 5), nn.ReLU()).train(), _path(4)).crossings.shape == (2,)


@pytest.mark.parametrize(
    ("forward", "given"),
    [
        (lambda m, x: (m.linear(x), x), r"a tuple of 2; choose one tensor.*output=0, output=1\."),
        (lambda m, x: [x, x], r"a list of 2; choose one tensor.*output=0, output=1\."),
        (lambda m, x: {"logits": x, "aux": x}, "a dict with the keys 'logits', 'aux'; choose.*output='logits'"),
        (lambda m, x: None, "a NoneType; expected a tensor"),
        (lambda m, x: {"labels": x.argmax(1)}, "a dict with the keys 'labels'; expected a tensor of floating-point"),
    ],
)
def test_an_output_that_is_not_one_tensor_is_named(forward: Forward, given: str):
    with pytest.raises(InvalidInput, match=f"the model returns {given}"):
        transect.capture(Written(forward), torch.zeros(4))


def test_selecting_by_truth_values_of_activations_is_refused():
    with pytest.raises(UnsupportedModel):
        transect.capture(Written(lambda m, x: x[:, x[0] > 0]), torch.ones(4))


def test_randomness_written_as_a_function_is_refused():
    with pytest.raises(UnsupportedModel, match=r"(?s)dropout.*random.*model\.eval\(\)"):
        transect.capture(Written(lambda m, x: functional.dropout(x, 0.5)), torch.zeros(4))


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        (torch.zeros(2, 4, dtype=torch.int64), "floating-point numbers, got torch.int64"),
        (torch.tensor([[0.0] * 4, [float("nan")] * 4]), "anchor 1 contains NaN"),
        (torch.ones(3, 4), "segment 0 has length zero"),
        (torch.zeros(4), "at least two anchors"),
    ],
    ids=["integers", "NaN", "zero length", "one point"],
)
def test_a_path_that_cannot_be_walked_is_refused_when_it_is_made(anchors: Tensor, message: str):
    with pytest.raises(InvalidInput, match=message):
        transect.Path(anchors)


@pytest.mark.parametrize("anchors", [torch.eye(5), torch.eye(4).unsqueeze(1), torch.eye(2)])
def test_a_path_through_another_space_names_both_shapes(anchors: Tensor):
    network, other = _small_network(), transect.Path(anchors)
    with pytest.raises(InvalidInput) as caught:
        transect.trace(network, [_path(4), other])
    assert "path 1" in str(caught.value)
    assert str(tuple(anchors.shape[1:])) in str(caught.value)
    assert "(4,)" in str(caught.value)


def test_a_trace_too_large_to_keep_is_refused_as_lack_of_memory_and_can_be_measured_instead():
    network, path = transect.capture(nn.Sequential(nn.Linear(4, 200), nn.ReLU()), torch.zeros(4)), _path(4)
    with pytest.raises(TraceTooLarge, match=r'keep="measures".*outputs.*stream.*max_bytes'):
        transect.trace(network, path, max_bytes=10_000)
    with pytest.raises(MemoryError):
        transect.trace(network, [path] * 3, max_bytes=10_000)
    assert int(transect.trace(network, path, max_bytes=10_000, keep="measures").crossings.sum()) > 100
    assert transect.trace(network, path, max_bytes=10**7).segments


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(weight: float):
    model = nn.Linear(4, 2)
    nn.init.constant_(model.weight, weight)
    with pytest.raises(TransectError):
        transect.capture(model, torch.ones(4))


@pytest.mark.parametrize(
    "call",
    [
        lambda n: transect.trace(n, _path(4), outputs=1),
        lambda n: transect.trace(n, _path(4), outputs=["first"]),
        lambda n: transect.trace(n, _path(4), outputs=[0.7]),
        lambda n: transect.trace(n, _path(4), between=(0.5,)),
        lambda n: transect.trace(n, _path(4), max_bytes="1 GiB"),
        lambda n: transect.trace(n, _path(4), seed="a"),
        lambda n: transect.capture(nn.Linear(4, 2), torch.zeros(0, 4)),
        lambda n: transect.capture(nn.Linear(4, 2), torch.zeros(4), device="gpu"),
        lambda n: transect.trace(Written(lambda m, x: x[:, :0]), _path(4)),
        lambda n: transect.Path(torch.eye(4).to_sparse()),
    ],
)
def test_more_arguments_that_should_be_named(call: Callable[[transect.Network], object]):
    with pytest.raises(InvalidInput):
        call(_small_network())


@cache
def _small_network() -> transect.Network:
    return transect.capture(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), torch.zeros(4))
