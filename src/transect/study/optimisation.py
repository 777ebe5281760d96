"""How weights change: the optimizer, and one epoch of its steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

from transect.errors import StudyError
from transect.study.config import TrainConfig
from transect.study.schedule import learning_rate


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """The optimizer of a configuration; fused, since the networks are small and a step is mostly overhead.

    Weight decay is an L2 penalty on every parameter, biases and those of batch norm included, also for Adam.
    """
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "adam":
        return Adam(model.parameters(), rate, weight_decay=decay, fused=True)
    return SGD(model.parameters(), rate, momentum=config.momentum, weight_decay=decay, fused=True)


def train_epoch(
    forward: Callable[[Tensor], Tensor], optimizer: Optimizer, batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[float, float]:
    """One pass over the samples.

    Args:
        forward: Gives logits ``(batch, classes)``, from which the loss reaches the optimizer's parameters.
        optimizer: Takes one step a batch.
        batches: What the network sees, and labels.

    Returns:
        Mean cross entropy in nats, and the fraction of wrong answers, over the samples as they were met.
    """
    losses, outputs, targets = [], [], []
    for batch, labels in batches:
        optimizer.zero_grad()
        logits = _logits(forward, batch)
        loss = cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())  # summed up afterwards: a step of a small network is mostly overhead
        outputs.append(logits.detach())
        targets.append(labels)
    sizes = torch.tensor([len(labels) for labels in targets], dtype=torch.float64)
    loss = torch.stack(losses).cpu().double() @ sizes / sizes.sum()
    wrong = torch.cat(outputs).argmax(1) != torch.cat(targets)
    return loss.item(), wrong.double().mean().item()


def refuse_divergence(model: nn.Module, loss: float, epoch: int, config: TrainConfig) -> None:
    """Make sure that an epoch has left finite numbers.

    Args:
        model: After the epoch.
        loss: Mean over the epoch.
        epoch: Which one, from 0.
        config: Of the training.

    Raises:
        StudyError: If the loss or a weight is not finite.
    """
    # the weights too: those of the last step have met no loss yet
    if not math.isfinite(loss) or not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        rate = learning_rate(config, epoch)
        raise StudyError(
            f"expected a finite training loss and finite weights, got the loss {loss} in epoch {epoch + 1} of "
            f"{config.epochs}; choose a smaller learning rate than {rate:g}"
        )


def _logits(forward: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """Logits in no less than float32, for the loss."""
    logits = forward(batch)
    if not isinstance(logits, Tensor):
        raise StudyError(
            f"expected the model to give logits, got a value of type {type(logits).__name__} in training mode; let it "
            "return the tensor of logits alone (for some models of torchvision: arguments = {aux_logits = false})"
        )
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
