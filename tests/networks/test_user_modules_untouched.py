"""``capture`` and ``trace`` leave a user's module exactly as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import transect
from transect.errors import UnsupportedModel


def _model() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Flatten(), nn.Linear(24, 3)
    )
    model[2].train()
    model[1].eval()
    model[3].eval()
    model[5].weight.requires_grad_(False)
    return model


def test_parameters_buffers_flags_hooks_and_gradients_stay():
    model = _model()
    calls: list[int] = []
    model[5].register_forward_hook(lambda *_: calls.append(1))
    model(torch.randn(2, 1, 8)).sum().backward()
    before = copy.deepcopy(model.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    identities = [id(p) for p in model.parameters()]
    flags = [(module.training, type(module)) for module in model.modules()]
    requires = [p.requires_grad for p in model.parameters()]

    transect.trace(model, transect.Path(torch.randn(3, 1, 8)), dtype=torch.float64)

    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
        assert value.dtype == before[name].dtype
    assert identities == [id(p) for p in model.parameters()]
    assert flags == [(module.training, type(module)) for module in model.modules()]
    assert requires == [p.requires_grad for p in model.parameters()]
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        assert (p.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(p.grad, gradient)
    assert len(model[5]._forward_hooks) == 1


def test_the_random_state_of_torch_stays():
    model, path = _model(), transect.Path(torch.randn(3, 1, 8))
    before = torch.get_rng_state()
    transect.trace(model, path)
    assert torch.equal(torch.get_rng_state(), before)


def test_global_settings_of_torch_stay():
    model = _model()
    before = (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads())
    transect.trace(model, transect.Path(torch.randn(3, 1, 8)))
    assert before == (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads())


class Smooth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.gate = _model(), nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gate(self.inner(x))


def test_a_module_that_is_refused_stays_as_it_was():
    model = Smooth()
    before = _everything(model)
    with pytest.raises(UnsupportedModel):
        transect.capture(model, torch.zeros(1, 8))
    assert _everything(model) == before


@pytest.mark.parametrize(
    ("own", "working"),
    [(torch.float32, torch.float64), (torch.float64, torch.float32), (torch.bfloat16, torch.float64)],
)
def test_the_dtype_stays_whatever_the_engine_works_in(own: torch.dtype, working: torch.dtype):
    model = _model().to(own)
    before = _everything(model)
    network = transect.capture(model, torch.zeros(1, 8), dtype=working)
    transect.trace(network, transect.Path(torch.eye(8).unsqueeze(1)), keep="measures")
    assert _everything(model) == before


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_reparametrised_weights_stay_reparametrised():
    """Of both kinds: old-style weight norm keeps its weight as a plain attribute, set anew by a hook at every call."""
    old, new = (norm(nn.Linear(8, 3)) for norm in (nn.utils.weight_norm, nn.utils.parametrizations.weight_norm))
    for layer in (old, new):
        model = nn.Sequential(layer, nn.ReLU()).eval()
        before = _everything(model)
        transect.trace(model, transect.Path(torch.eye(8)))
        assert _everything(model) == before


def test_the_module_still_trains_after_it_has_been_traced():
    model = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.ReLU()).eval()
    transect.trace(model, transect.Path(torch.eye(8)))
    model.train()(torch.randn(6, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert int(model[1].num_batches_tracked) == 1


def _everything(model: nn.Module) -> list[tuple]:
    """All that a module consists of: attributes, hooks, and tensors with identity, dtype, place and values."""
    found: list[tuple] = []
    for name, part in model.named_modules():
        attributes = {key: value for key, value in vars(part).items() if not isinstance(value, dict | torch.Tensor)}
        hooks = {key: list(value) for key, value in vars(part).items() if isinstance(value, dict)}
        found.append((name, type(part), part.training, attributes, hooks))
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        found.append((name, id(tensor), tensor.data_ptr(), tensor.dtype, tensor.requires_grad, tensor.tolist()))
    return found
