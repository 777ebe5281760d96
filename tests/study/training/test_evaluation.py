"""Error, loss and scale of logits, against plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import nn

from support.training_samples import fresh, images, signals
from transect.study.training.evaluation import evaluate, predict, weight_norm


def test_evaluation_agrees_with_numpy_over_several_batches():
    data = signals(2345)
    model = fresh("mlp", data, width=8)
    weights = [parameter.detach().double().numpy() for parameter in model.parameters()]
    x, labels = data.train.inputs.double().numpy(), data.train.labels.numpy()
    for matrix, bias in zip(weights[0:4:2], weights[1:4:2], strict=True):
        x = np.maximum(x @ matrix.T + bias, 0)
    logits = x @ weights[4].T + weights[5]
    for samples in (data.train, (data.train.inputs, data.train.labels)):
        found = evaluate(model, samples)
        np.testing.assert_allclose(found.error, (logits.argmax(1) != labels).mean(), atol=1e-12)
        np.testing.assert_allclose(found.loss, (logsumexp(logits, 1) - logits[np.arange(2345), labels]).mean(), 1e-5)
        np.testing.assert_allclose(found.logit_std, logits.std(), rtol=1e-5)
    np.testing.assert_allclose(weight_norm(model), np.sqrt(sum((w**2).sum() for w in weights)), rtol=1e-12)


def test_stored_images_are_prepared():
    data = images()
    model = fresh("mlp", data)
    assert evaluate(model, data.train, data.prepare) == evaluate(
        model, (data.prepare(data.train.inputs), data.train.labels)
    )


def test_batch_norm_is_evaluated_with_its_running_statistics_and_left_in_its_mode():
    model = fresh("mlp", signals(), width=8, batch_norm=True)
    inputs = torch.randn(7, 40, generator=torch.Generator().manual_seed(1))
    running = {name: value.clone() for name, value in model.state_dict().items()}
    together, alone = predict(model, inputs), torch.cat([predict(model, row[None]) for row in inputs])
    torch.testing.assert_close(together, alone)
    assert model.training
    assert all(torch.equal(value, running[name]) for name, value in model.state_dict().items())


def test_predictions_need_no_gradient():
    assert not predict(nn.Linear(3, 2), torch.zeros(1, 3)).requires_grad


def test_inputs_go_to_the_model_and_the_model_to_the_device_asked_for():
    model, seen = nn.Linear(3, 2), []
    model.register_forward_pre_hook(
        lambda module, inputs: seen.append((module.weight.device.type, inputs[0].device.type))
    )
    predict(model, torch.zeros(1, 3))
    with pytest.raises(NotImplementedError):  # "meta" is everywhere, but has no numbers to give back
        predict(model, torch.zeros(1, 3), device="meta")
    assert seen == [("cpu", "cpu"), ("meta", "meta")]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_outputs_that_are_not_finite_give_numbers_that_say_so(bad):
    model = nn.Identity()
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [bad, 0.0], [0.0, 1.0]])
    found = evaluate(model, (logits, torch.tensor([0, 0, 0, 1])))
    assert found.error == (0.5 if math.isnan(bad) else 0.25)
    assert not math.isfinite(found.loss)
    assert math.isnan(found.logit_std)


def test_no_samples_have_no_error():
    found = evaluate(nn.Linear(40, 10), signals(validation=0).validation)
    assert all(math.isnan(value) for value in (found.error, found.loss, found.logit_std))
