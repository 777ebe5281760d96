"""``capture`` and ``trace`` leave a user's module exactly as it was."""

from __future__ import annotations

import copy

import torch
from torch import nn

import transect


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
