"""What a user can get wrong on ``capture`` and ``trace``, and what the message says."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect
from transect.errors import InvalidInput, StudyError, UnsupportedModel, VerificationError
from transect.study.config import StudyConfig


class Function(nn.Module):
    def __init__(self, forward, **modules: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.gate = nn.Linear(4, 4), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.gelu(self.linear(x))
        return torch.softmax(y * self.gate(y), dim=1)


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def _path() -> transect.Path:
    return transect.Path(torch.eye(4))


def test_every_offending_operation_is_listed_with_module_line_and_remedy():
    with pytest.raises(UnsupportedModel) as caught:
        transect.capture(nn.Sequential(_network(), nn.Linear(2, 4), Gated()), torch.zeros(4))
    message = str(caught.value)
    assert "4 operation(s)" in message
    for part in ("aten.gelu.default in 2 (Gated)", "aten.sigmoid.default in 2.gate (Sigmoid)",
                 "aten.mul.Tensor in 2 (Gated)", "aten.softmax.int in 2 (Gated)", "bends smoothly",
                 "multiplies activations", "What to do:", "torch.softmax(y * self.gate(y), dim=1)"):  # fmt: skip
        assert part in message, part
    assert __file__ in message


@pytest.mark.parametrize(
    ("forward", "shape", "expected"),
    [
        (lambda m, x: m.linear(x - x.mean(0)), (4,), "mean"),
        (lambda m, x: m.linear(x.view(x.size(0) * 2, 4)).view(x.size(0), -1), (8,), "view"),
        (lambda m, x: m.linear(x).transpose(0, 1).reshape(x.size(0), -1), (4,), "number of samples|sample to sample"),
        (lambda m, x: m.linear(x) + torch.arange(x.size(0)).unsqueeze(1), (4,), "depends on the batch"),
        (lambda m, x: torch.relu(x)[1:], (4,), "row for each input"),
        (lambda m, x: x.cumsum(0), (4,), "cumsum"),
        (lambda m, x: x @ x.transpose(0, 1) @ x, (4,), "folds the samples"),
    ],
)
def test_models_that_mix_samples_are_refused(forward, shape: tuple[int, ...], expected: str):
    model = Function(forward, linear=nn.Linear(4, 8))
    with pytest.raises((UnsupportedModel, InvalidInput), match=expected):
        transect.capture(model, torch.randn(*shape))


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.LayerNorm(4), "statistic"),
        (nn.Tanh(), "bends smoothly"),
        (nn.SiLU(), "bends smoothly"),
        (nn.ELU(), "bends smoothly"),
        (nn.Softplus(), "bends smoothly"),
        (nn.Hardswish(), "quadratic"),
        (nn.BatchNorm1d(4, track_running_stats=False).eval(), "statistic"),
        (Function(lambda m, x: x.round()), "jumps"),
        (Function(lambda m, x: x.sort(1).values), "orders"),
    ],
)
def test_what_is_not_piecewise_affine_is_refused_with_its_reason(module: nn.Module, reason: str):
    with pytest.raises(UnsupportedModel, match=reason):
        transect.capture(nn.Sequential(nn.Linear(4, 4), module), torch.randn(2, 4))


@pytest.mark.parametrize("module", [nn.BatchNorm1d(4), nn.Dropout(0.5)])
def test_training_mode_is_refused_by_name(module: nn.Module):
    model = nn.Sequential(nn.Linear(4, 4), module)
    with pytest.raises(InvalidInput, match=rf"1 \({type(module).__name__}\).*model.eval\(\)"):
        transect.capture(model, torch.zeros(4))
    transect.capture(model.eval(), torch.zeros(4))


def test_a_fixed_batch_size_is_named():
    model = Function(lambda m, x: m.linear(x).view(2, 8), linear=nn.Linear(4, 8))
    with pytest.raises(UnsupportedModel, match="fixes its batch size: it takes 2 input"):
        transect.capture(model, torch.randn(2, 4))


def test_a_batch_size_written_as_a_number_is_named():
    model = Function(lambda m, x: m.linear(x).view(len(x), 8), linear=nn.Linear(4, 8))
    with pytest.raises(UnsupportedModel, match=r"x\.size\(0\)"):
        transect.capture(model, torch.randn(4))


def test_branches_on_values_are_refused():
    model = Function(lambda m, x: x if x.sum() > 0 else -x)
    with pytest.raises(UnsupportedModel, match="branches on the values"):
        transect.capture(model, torch.randn(4))


def test_a_model_that_is_random_is_refused():
    with pytest.raises((UnsupportedModel, VerificationError), match="random"):
        transect.capture(Function(lambda m, x: x + torch.randn_like(x)), torch.randn(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transect.capture(lambda x: x, torch.zeros(4)), "torch.nn.Module"),
        (lambda: transect.capture(_network(), torch.zeros(5)), "does not map a batch"),
        (lambda: transect.capture(_network(), torch.full((4,), float("nan"))), "example: it contains NaN"),
        (lambda: transect.capture(_network(), torch.zeros(4, dtype=torch.complex64)), "real numbers"),
        (lambda: transect.capture(_network(), object()), "real numbers"),
        (lambda: transect.capture(_network(), torch.zeros(4), dtype=torch.float16), "float64"),
        (lambda: transect.capture(_network(), torch.zeros(4))(torch.zeros(3)), "x: expected one input of shape"),
        (lambda: transect.trace(_network(), torch.eye(4)), "transect.Path"),
        (lambda: transect.trace(_network(), []), "empty sequence"),
        (lambda: transect.trace("model", _path()), "captured network or a torch.nn.Module"),
        (lambda: transect.trace(_network(), _path(), keep="some"), "keep"),
        (lambda: transect.trace(_network(), _path(), outputs=[2]), "outputs: expected indices below 2"),
        (lambda: transect.trace(_network(), _path(), outputs=[]), "outputs"),
        (lambda: transect.trace(_network(), _path(), budget=0), "budget"),
        (lambda: transect.trace(_network(), _path(), between=(1, 0)), "between"),
        (lambda: transect.trace(_network(), _path(), dtype=torch.int64), "dtype"),
        (
            lambda: transect.trace(transect.capture(_network(), torch.zeros(4)), _path(), dtype=torch.float32),
            "captured in torch.float64",
        ),
        (
            lambda: transect.trace(transect.capture(_network(), torch.zeros(4)), transect.Path(torch.eye(3))),
            "path 0: its anchors have shape",
        ),
        (lambda: transect.trace(_network(), _path()).rounding("beauty"), "measure: expected one of"),
        (lambda: transect.trace(_network(), _path()).normalised_deviation(0.0), "positive standard deviations"),
        (lambda: transect.trace(_network(), _path()).across_outputs(torch.eye(2), "median"), "how"),
    ],
)
def test_bad_arguments_are_named(call, message: str):
    with pytest.raises(InvalidInput, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: transect.trace(_network(), _path(), keep="mesures"), "measures"),
        (lambda: transect.trace(_network(), _path(), verify="al"), "all"),
        (lambda: transect.capture(_network(), torch.zeros(4), dtype="float32"), "torch.float32"),
        (lambda: transect.trace(_network(), _path()).rounding("absolut_deviation"), "absolute_deviation"),
        (lambda: transect.trace(_network(), _path()).across_outputs(torch.eye(2), "L2"), "l2"),
        (lambda: transect.estimate(_network(), _path()).interval("total_variations"), "total_variation"),
        (lambda: transect.measure(_network(), [_path()], method="Exact"), "exact"),
        (lambda: transect.measure(_network(), [_path()]).column("crossing"), "crossings"),
        (lambda: transect.measure(_network(), [_path()]).of("sequential"), "Sequential"),
        (lambda: transect.measure(_network(), [_path()]).compare(0, 0, "mean_deviatoin"), "mean_deviation"),
        (lambda: transect.capture(_network(), torch.zeros(4), fixed={"inputs": 1}), "input"),
        (
            lambda: (
                transect.capture(Function(lambda m, x: torch.relu(m.act(x)), act=nn.ReLU()), torch.zeros(4))
                .pattern(torch.ones(4))
                .pieces("acc")
            ),
            "act",
        ),
        (lambda: StudyConfig.parse({"paths": {"kind": "circel"}}), "circle"),
        (lambda: StudyConfig.parse({"train": {"optimizer": "Adam"}}), "adam"),
    ],
)
def test_values_that_are_nearly_right_are_answered_with_the_right_one(call, meant: str):
    with pytest.raises((InvalidInput, StudyError), match=rf"\(did you mean {meant}\?\)"):
        call()


NOTHING_BUT_OURS = """
import torch, transect

class Cancelled(torch.nn.Module):
    def forward(self, x):
        return torch.relu((1e-17 * x + 1) - 1)

ends = -torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
transect.trace(Cancelled().double(), transect.paths.line(*ends))
"""


def test_a_trace_that_takes_derivatives_says_nothing_of_pytorchs():
    """Its forward mode warns of what it compiles when it is first used."""
    command = [sys.executable, "-W", "error::FutureWarning", "-W", "error::DeprecationWarning", "-c", NOTHING_BUT_OURS]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "UnresolvedWarning" in ended.stderr
    assert "jit" not in ended.stderr


@pytest.mark.parametrize(
    "draw",
    [torch.bernoulli, lambda ones: functional.dropout(ones, 0.5, True), lambda ones: torch.rand(ones.shape[0], 4)],
)
def test_what_is_drawn_from_the_shape_of_activations_is_random_and_drawn_from_nobody(draw):
    model = Function(lambda m, x: torch.relu(x) * draw(torch.ones_like(x))).eval()
    before = torch.get_rng_state()
    with pytest.raises(UnsupportedModel, match="it is random"):
        transect.capture(model, torch.zeros(4))
    assert torch.equal(torch.get_rng_state(), before)
