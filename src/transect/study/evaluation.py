"""How good a network is, and how large its outputs are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from transect.study.data.dataset import Split

ROWS_AT_ONCE = 1000

Prepare = Callable[[Tensor], Tensor]
"""From inputs as they are stored to what a network sees, such as :meth:`DataSet.prepare`."""


@dataclass(frozen=True)
class Evaluation:
    """A network on the samples of a split. All three are NaN where there are no samples.

    Attributes:
        error: Fraction of samples whose largest logit is not that of their label; one with a logit that is NaN counts
            as wrong.
        loss: Mean cross entropy, in nats; NaN or infinite where the logits are.
        logit_std: Standard deviation of the logits, all samples and outputs pooled; NaN where a logit is not finite.
    """

    error: float
    loss: float
    logit_std: float


def evaluate(
    model: nn.Module,
    samples: Split | tuple[Tensor, Tensor],
    prepare: Prepare | None = None,
    device: torch.device | str | None = None,
) -> Evaluation:
    """Evaluate in the model's own dtype, sum up in float64; the model is left as and where it was.

    Args:
        model: Gives logits ``(N, classes)``.
        samples: A split, or inputs ``(N, *input_shape)`` and labels ``(N,)``, int64; inputs as they are stored.
        prepare: Makes of a batch of inputs what the model sees; they are taken as they are where None.
        device: Where to compute; the device of the model where None.
    """
    inputs, labels = (samples.inputs, samples.labels) if isinstance(samples, Split) else samples
    if not len(inputs):
        return Evaluation(error=float("nan"), loss=float("nan"), logit_std=float("nan"))
    logits, labels = predict(model, inputs, prepare, device).double(), labels.cpu()
    wrong = (logits.argmax(1) != labels) | logits.isnan().any(1)
    return Evaluation(
        error=wrong.double().mean().item(),
        loss=cross_entropy(logits, labels).item(),
        logit_std=logits.std(correction=0).item(),
    )


def predict(
    model: nn.Module, inputs: Tensor, prepare: Prepare | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Logits ``(N, classes)`` on the CPU: in evaluation mode, without gradients, a thousand inputs at a time.

    Args:
        model: Left as and where it was.
        inputs: ``(N, *input_shape)``, as they are stored, on any device.
        prepare: Makes of a batch of inputs what the model sees; they are taken as they are where None.
        device: Where to compute; the device of the model where None.
    """
    with torch.no_grad(), _evaluating(model, device) as place:
        parts = (part.to(place) for part in inputs.split(ROWS_AT_ONCE))
        return torch.cat([model(part if prepare is None else prepare(part)).cpu() for part in parts])


def parameter_count(model: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters())


def weight_norm(model: nn.Module) -> float:
    """L2 norm of all parameters together."""
    with torch.no_grad():
        squares = [parameter.double().square().sum() for parameter in model.parameters()]
    return float(torch.stack(squares).sum().sqrt())


@contextmanager
def _evaluating(model: nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """The model in evaluation mode on a device, and afterwards as it was."""
    parameter = next(model.parameters(), None)
    home = torch.device("cpu") if parameter is None else parameter.device
    place = home if device is None else torch.device(device)
    was_training = model.training
    model.to(place).eval()
    try:
        yield place
    finally:
        model.to(home).train(was_training)
