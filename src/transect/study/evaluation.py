"""How good a network is, and how large its outputs are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Evaluation:
    """A network on the samples of a split.

    Attributes:
        error: Fraction of samples whose largest logit is not that of their label.
        loss: Mean cross entropy, in nats.
        logit_std: Standard deviation of the logits, all samples and outputs pooled.
    """

    error: float
    loss: float
    logit_std: float


def evaluate(model: nn.Module, inputs: Tensor, labels: Tensor) -> Evaluation:
    """Evaluate in the model's own dtype, sum up in float64; the model is in training mode or not as it was before.

    Args:
        model: Gives logits ``(N, classes)``.
        inputs: ``(N, *input_shape)``.
        labels: ``(N,)``, int64.
    """
    logits = predict(model, inputs).double()
    return Evaluation(
        error=(logits.argmax(1) != labels).double().mean().item(),
        loss=cross_entropy(logits, labels).item(),
        logit_std=logits.std(correction=0).item(),
    )


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Logits ``(N, classes)`` in evaluation mode, without gradients, a thousand inputs at a time."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(part) for part in inputs.split(ROWS_AT_ONCE)])
    finally:
        model.train(was_training)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters())


def weight_norm(model: nn.Module) -> float:
    """L2 norm of all parameters together."""
    with torch.no_grad():
        squares = [parameter.double().square().sum() for parameter in model.parameters()]
    return float(torch.stack(squares).sum().sqrt())
