"""Steps and weight decay, against textbook updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from transect.study.config import TrainConfig
from transect.study.training.steps import make_optimizer, train_epoch


def samples(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 40, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(10, (count,), generator=generator)


def batches(size: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    inputs, labels = samples()
    return list(zip(inputs.split(size), labels.split(size), strict=True))


def linear() -> nn.Linear:
    model = nn.Linear(40, 10, bias=False).double()
    nn.init.normal_(model.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    return model


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_sgd_with_momentum_is_the_textbook_update(weight_decay):
    """v <- m v + g + d w, w <- w - lr v, with the gradient of softmax regression written out; and its averages."""
    model = linear()
    weight = model.weight.detach().numpy().copy()
    velocity = np.zeros_like(weight)
    optimizer = make_optimizer(model, TrainConfig(learning_rate=0.1, momentum=0.9, weight_decay=weight_decay))
    for _ in range(2):
        loss, error = train_epoch(model, optimizer, batches())
        losses, wrong = [], []
        for x, y in ((x.numpy(), y.numpy()) for x, y in batches()):
            p = np.exp(x @ weight.T)
            p /= p.sum(1, keepdims=True)
            losses.extend(-np.log(p[np.arange(len(y)), y]))
            wrong.extend(p.argmax(1) != y)
            velocity = 0.9 * velocity + (p - np.eye(10)[y]).T @ x / len(x) + weight_decay * weight
            weight -= 0.1 * velocity
        assert (loss, error) == pytest.approx((np.mean(losses), np.mean(wrong)))
    np.testing.assert_allclose(model.weight.detach().numpy(), weight, rtol=1e-10, atol=1e-13)


def test_weight_decay_of_adam_is_an_l2_penalty():
    decayed, penalised = linear(), linear()
    train_epoch(decayed, make_optimizer(decayed, TrainConfig(optimizer="adam", weight_decay=0.1)), batches())
    optimizer = torch.optim.Adam(penalised.parameters(), 0.01, foreach=False)
    for inputs, labels in batches():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(penalised(inputs), labels)
        (loss + 0.1 / 2 * penalised.weight.square().sum()).backward()
        optimizer.step()
    torch.testing.assert_close(decayed.weight, penalised.weight, rtol=1e-9, atol=1e-12)


def test_training_learns():
    model = nn.Sequential(nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 10)).double()
    optimizer = make_optimizer(model, TrainConfig(learning_rate=0.1))
    for _ in range(60):
        loss, error = train_epoch(model, optimizer, batches())
    assert loss < 0.05  # chance is log 10
    assert error == 0
