"""Error, loss and scale of logits, against plain NumPy."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import logsumexp
from torch import nn

from transect.study.evaluation import evaluate, predict, weight_norm
from transect.study.models import build_model


def test_evaluation_agrees_with_numpy_over_several_batches():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2345, 40, generator=generator)
    labels = torch.randint(10, (2345,), generator=generator)
    model = build_model("mlp", 8, (40,), 10, seed=0)
    weights = [parameter.detach().double().numpy() for parameter in model.parameters()]
    x = inputs.double().numpy()
    for matrix, bias in zip(weights[0:4:2], weights[1:4:2], strict=True):
        x = np.maximum(x @ matrix.T + bias, 0)
    logits = x @ weights[4].T + weights[5]
    found = evaluate(model, inputs, labels)
    np.testing.assert_allclose(found.error, (logits.argmax(1) != labels.numpy()).mean(), atol=1e-12)
    np.testing.assert_allclose(found.loss, (logsumexp(logits, 1) - logits[np.arange(2345), labels]).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.logit_std, logits.std(), rtol=1e-5)
    np.testing.assert_allclose(weight_norm(model), np.sqrt(sum((w**2).sum() for w in weights)), rtol=1e-12)


def test_batch_norm_is_evaluated_with_its_running_statistics_and_left_in_its_mode():
    model = build_model("mlp", 8, (40,), 10, seed=0, batch_norm=True)
    inputs = torch.randn(7, 40, generator=torch.Generator().manual_seed(1))
    running = {name: value.clone() for name, value in model.state_dict().items()}
    together, alone = predict(model, inputs), torch.cat([predict(model, row[None]) for row in inputs])
    torch.testing.assert_close(together, alone)
    assert model.training
    assert all(torch.equal(value, running[name]) for name, value in model.state_dict().items())


def test_predictions_need_no_gradient():
    assert not predict(nn.Linear(3, 2), torch.zeros(1, 3)).requires_grad
