"""Models and arguments that cannot be traced: each is refused before any number is computed, by a message that helps.

What belongs to single arguments is in ``test_errors_a_user_meets.py``; here are whole models, and samples that mix.
"""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect
from transect.errors import InvalidInput, TraceTooLarge, TransectError, UnsupportedModel
from transect.study.models.architectures import resnet18

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
    "neighbours added": (lambda m, x: x + x.roll(1, 0), (4,), "depends on the batch"),
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
    "one number for all": (lambda m, x: x.sum(), (4,), "loses its samples"),
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


RANDOM: dict[str, Forward] = {
    "dropout": lambda m, x: functional.dropout(x, 0.5),
    "dropout of channels": lambda m, x: functional.dropout2d(x[..., None, None], 0.5).flatten(1),
    "alpha dropout": lambda m, x: functional.alpha_dropout(x, 0.5, True),
    "noise for each sample": lambda m, x: x * torch.rand(x.shape),
    "noise for all samples": lambda m, x: x + torch.rand(4),
    "one number of noise": lambda m, x: x * torch.rand(1),
    "noise of the same kind": lambda m, x: x * (1 + torch.randn_like(x)),
    "filled with noise": lambda m, x: x + torch.empty_like(x).uniform_(),
    "a random order": lambda m, x: x[:, torch.randperm(4)],
    "a random choice": lambda m, x: x[:, torch.multinomial(torch.ones(4), 2)],
    "leaky with random slopes": lambda m, x: functional.rrelu(x, training=True),
    "random pooling": lambda m, x: functional.fractional_max_pool2d(x.reshape(-1, 1, 2, 2), 1, 2).flatten(1),
    "samples of a distribution": lambda m, x: x + torch.distributions.Normal(torch.zeros(4), 1.0).sample(),
    "gates": lambda m, x: x * torch.bernoulli(torch.full_like(x, 0.5)),
    "a mask of noise": lambda m, x: x.masked_fill(torch.rand_like(x) < 0.5, 0.0),
    "a new order of channels": lambda m, x: x.view(-1, 2, 2)[:, torch.rand(2).argsort()].flatten(1),
    "stochastic depth": lambda m, x: m.linear(x) if torch.rand(()) < 0.5 else 2 * m.linear(x),
    "numbers of Python": lambda m, x: x * random.random(),
}


def test_rounding_to_a_grid_is_called_that():
    rounded = Written(lambda m, x: torch.fake_quantize_per_tensor_affine(m.linear(x), 0.1, 0, -128, 127))
    with pytest.raises(UnsupportedModel, match=r"(?s)rounds activations.*test_capture_errors.*before quantisation"):
        transect.capture(rounded.eval(), torch.zeros(4))


@pytest.mark.parametrize("what", RANDOM)
def test_random_functions_are_called_random_and_nothing_else(what: str):
    """What reads the random numbers is not listed, and the user's own generator is as it was before."""
    model, before = Written(RANDOM[what]).eval(), torch.get_rng_state()
    with pytest.raises(UnsupportedModel, match="random") as caught:
        transect.capture(model, torch.tensor([0.3, -0.2, 0.5, 0.1]))
    assert torch.equal(torch.get_rng_state(), before)
    assert {problem.reason for problem in caught.value.problems} <= {"it is random"}
    assert "sample to sample" not in str(caught.value)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: functional.dropout2d(functional.dropout(x, 0.5, False)[..., None], 0.5, False).flatten(1),
        lambda m, x: functional.rrelu(x),
        lambda m, x: (torch.rand(4), torch.relu(x))[1],
    ],
    ids=["switched off", "in evaluation", "without effect"],
)
def test_what_is_not_random_though_it_could_be_is_traced(forward: Forward):
    assert transect.trace(Written(forward).double(), _path(4)).verification.points > 0


def _meta() -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(4, 3), nn.ReLU())


def _scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has deprecated it
        return nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Linear(4, 3)))


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.dequantize())


class Foreign(nn.Linear):
    """As a library for quantised layers has them."""


Foreign.__module__ = "bitsandbytes.nn.modules"

UNUSABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "meta": (_meta, r"0 \(Linear\) has weights on the meta device.*to_empty"),
    "meta buffers": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, device="meta").eval()),
        r"1 \(BatchNorm1d\) has weights on the meta",
    ),
    "lazy": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.LazyLinear(3), nn.LazyBatchNorm1d().eval()),
        r"1 \(LazyLinear\) is a lazy layer.*1 more: 2 \(LazyBatchNorm1d\)\).*Call the model once",
    ),
    "lazy alone": (lambda: nn.LazyConv1d(3, 3), r"the model \(LazyConv1d\) is a lazy layer"),
    "scripted": (_scripted, r"1 \(RecursiveScriptModule\) is made of TorchScript.*Give the module"),
    "quantised weights": (Quantised, r"the model \(Quantised\) is quantised.*before quantisation"),
    "quantised by a library": (lambda: nn.Sequential(Foreign(4, 3)), r"0 \(Foreign\) is quantised"),
    "quantised while it runs": (
        lambda: nn.Sequential(nn.ReLU(), torch.ao.nn.quantized.dynamic.Linear(4, 3)),
        r"1 \(Linear\) is quantised",
    ),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_models_in_a_state_that_cannot_be_captured_are_refused_by_name_before_they_are_called(what: str):
    make, message = UNUSABLE[what]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make()
    kinds = [type(module) for module in model.modules()]
    with pytest.raises(TransectError, match=message):
        transect.capture(model, torch.zeros(4))
    assert [type(module) for module in model.modules()] == kinds


def test_whole_numbers_as_weights_that_the_model_converts_itself_are_constants():
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.tensor([[3, -2, 0, 5]], dtype=torch.int8))

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(functional.linear(x, self.weight.to(x.dtype) * 0.25))

    x = torch.randn(5, 4, dtype=torch.float64)
    expected = torch.relu(x @ torch.tensor([[0.75], [-0.5], [0.0], [1.25]], dtype=torch.float64))
    torch.testing.assert_close(transect.capture(Whole(), x)(x), expected)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: torch.fft.irfft(torch.fft.rfft(x)),
        lambda m, x: (x.to(torch.complex64) @ torch.full((4, 3), 1j)).abs(),
        lambda m, x: torch.view_as_real(torch.complex(x, -x)).flatten(1),
    ],
)
def test_complex_numbers_are_called_that(forward: Forward):
    with pytest.raises(UnsupportedModel, match="complex numbers") as caught:
        transect.capture(Written(forward), torch.ones(4))
    assert "jumps" not in str(caught.value)


def _hooked() -> nn.Module:
    model, kept = nn.Sequential(nn.Linear(4, 8), nn.ReLU()), []
    model[1].register_forward_hook(lambda module, given, made: kept.append(made.numpy().sum()))
    return model


NOT_EXPORTED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "a hook": (_hooked, "Sequential: the model branches.* in 1 \\(ReLU\\)", "kept.append(made.numpy().sum())"),
    "a branch": (lambda: Written(lambda m, x: x if x.abs().max() > 1 else -x), "branches", "if x.abs().max() > 1"),
    "a number": (lambda: Written(lambda m, x: m.linear(x) * float(x.max())), "makes numbers", "float(x.max())"),
    "a size": (lambda: Written(lambda m, x: m.linear(x)[:, : int(x.sum())]), "makes numbers", "int(x.sum())"),
    "a part": (
        lambda: nn.Sequential(nn.Linear(4, 4), Written(lambda m, x: x * x.detach().numpy().max())),
        r"in 1 \(Written\)",
        "x.detach().numpy().max()",
    ),
    "the length": (lambda: Written(lambda m, x: m.linear(x).view(len(x), 5)), "fixes its batch size", "len(x), 5"),
    "a count": (
        lambda: Written(lambda m, x: torch.zeros(int(x.shape[0]), 5) + m.linear(x)),
        "fixes its batch size",
        "int(x.shape[0])",
    ),
    "a loop over samples": (
        lambda: Written(lambda m, x: torch.stack([m.linear(x[i]) for i in range(x.size(0))])),
        "fixes its batch size",
        "for i in range",
    ),
}


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            lambda h: h[0].flatten(),
            r"loses its samples: its output has the shape \(32,\) whatever the number of inputs",
        ),
        (lambda h: h.sum(0).flatten(), "Does it read one sample only, or sum over all"),
        (lambda h: nn.functional.linear(h.flatten(), torch.ones(3, 32)), r"x\.flatten\(1\) in place of x\.flatten"),
        (lambda h: h.view(32), r"of one input of shape \(1, 6, 6\) it makes an output of shape \(32,\)"),
    ],
)
def test_samples_that_are_lost_are_told_from_those_that_are_counted(head, message):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), Written(lambda m, x: head(x)))
    with pytest.raises(UnsupportedModel, match=message):
        transect.capture(model.eval(), torch.zeros(1, 6, 6))


def test_infinite_weights_are_refused_as_such_and_nothing_of_ours_is_shown_raw():
    model = nn.Linear(4, 3).eval()
    with torch.no_grad():
        model.weight[0, 0] = float("inf")
    with pytest.raises(InvalidInput, match=r"expected finite weights.*: weight\."):
        transect.capture(model, torch.ones(4))
    mask = torch.tensor([True, False, False, False])
    with pytest.raises(
        UnsupportedModel, match=r"  - aten\.relu\.default .*: an infinite constant reaches it\."
    ) as caught:
        transect.capture(Written(lambda m, x: torch.relu(x.masked_fill(mask, -torch.inf))).eval(), torch.ones(4))
    assert "Problem(" not in str(caught.value)


@pytest.mark.parametrize("what", NOT_EXPORTED)
def test_refusals_by_the_exporter_name_module_and_line_in_our_own_words_alone(
    what: str, capfd: pytest.CaptureFixture, recwarn: pytest.WarningsRecorder
):
    make, message, line = NOT_EXPORTED[what]
    filters = [list(logging.getLogger(name).filters) for name in ("torch", "torch.fx", "torch.export")]
    with pytest.raises(UnsupportedModel, match=message) as caught:
        transect.capture(make().eval(), torch.ones(4))
    assert f"at {__file__}:" in str(caught.value)
    assert line in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert filters == [logging.getLogger(name).filters for name in ("torch", "torch.fx", "torch.export")]


class Flat(nn.Module):
    """Takes one image at a time."""

    def __init__(self, first: nn.Module, size: int) -> None:
        super().__init__()
        self.first, self.head = first, nn.Linear(size, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.first(x)).view(1, -1))


@pytest.mark.parametrize(
    ("model", "shape", "told"),
    [
        (Flat(nn.Conv2d(1, 2, 3), 32), (1, 6, 6), "shape (1, 6, 6) at"),
        (Flat(nn.Conv2d(1, 2, 3), 32), (1, 1, 6, 6), "shape (1, 6, 6) at"),
        (Flat(nn.Conv1d(1, 2, 3), 8), (1, 6), "shape (1, 6) at"),
        (Flat(nn.Conv2d(3, 2, 3), 32), (3, 6, 6), "shape (3, 6, 6) at"),
        (Flat(nn.Identity(), 36), (1, 6, 6), "shape (6, 6) or (1, 6, 6) at"),  # which of them nobody can tell
    ],
)
def test_a_fixed_batch_is_told_with_the_reading_that_was_meant(model: nn.Module, shape: tuple, told: str):
    with pytest.raises(UnsupportedModel) as caught:
        transect.capture(model, torch.zeros(shape))
    assert f"takes 1 input(s) of {told} a time" in str(caught.value)


def test_many_problems_of_one_kind_are_one_entry_with_their_number():
    model = nn.Sequential(*(layer for _ in range(48) for layer in (nn.Linear(4, 4), nn.GELU())))
    with pytest.raises(UnsupportedModel) as caught:
        transect.capture(model, torch.zeros(4))
    assert len(caught.value.problems) == 48
    assert str(caught.value).splitlines()[1:] == [
        "  - aten.gelu.default, 48 times, in 1 (GELU), 3 (GELU), 5 (GELU), ... (44 more modules), 95 (GELU): "
        "it bends smoothly: the network is not piecewise affine.",
        "      What to do: replace it by something piecewise affine (ReLU, max-pooling, clamp), or sample the model: "
        "transect.estimate.",
    ]


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
        lambda n: transect.capture(nn.Linear(4, 2), torch.zeros(4, device="meta")),
        lambda n: transect.capture(nn.Linear(4, 2), torch.eye(4).to_sparse()),
        lambda n: transect.capture(torch.export.export(nn.Linear(4, 2), (torch.ones(3, 4),)), torch.zeros(4)),
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
