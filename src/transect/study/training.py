"""Train one network: plain PyTorch, to be read from top to bottom.

The samples are tensors in memory; an epoch is a random permutation cut into batches. Everything random is seeded, and
the order of an epoch depends on nothing but the seed and the number of the epoch: a training that is killed and goes on
from its last checkpoint ends with the same bits as one that was left alone.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

from transect.errors import StudyError
from transect.execution.events import Report
from transect.study.checkpoint import load_checkpoint, save_checkpoint
from transect.study.config import TrainConfig
from transect.study.data.dataset import Split

STAGE = "training"


@dataclass
class _Progress:
    epoch: int = 0  # epochs done
    seconds: float = 0.0  # spent on them, over all interruptions


def train(
    model: nn.Module, split: Split, config: TrainConfig, order_seed: int, checkpoint: Path, report: Report
) -> float:
    """Train a model in place, going on from a checkpoint if there is one.

    Args:
        model: Freshly built; gives logits ``(N, classes)``.
        split: Samples and the (noisy) labels to learn.
        config: Optimizer, learning rate, batch size, epochs, how often to keep a checkpoint.
        order_seed: Seed of the order of the samples.
        checkpoint: The file to keep; the state after the last epoch is kept too.
        report: Hears of each epoch.

    Returns:
        Seconds of training, over all interruptions.

    Raises:
        StudyError: If the loss or a weight is not finite, or the checkpoint is of another network.
    """
    optimizer = make_optimizer(model, config)
    progress = _Progress(**(load_checkpoint(checkpoint, model, optimizer) or {}))
    model.train()
    while progress.epoch < config.epochs:
        began = time.perf_counter()
        order = epoch_order(len(split), order_seed, progress.epoch)
        loss = train_epoch(model, optimizer, split.inputs[order], split.labels[order], config.batch_size)
        _refuse_divergence(model, loss, progress.epoch, config)
        progress.epoch += 1
        progress.seconds += time.perf_counter() - began
        if progress.epoch % config.checkpoint_every == 0 or progress.epoch == config.epochs:
            save_checkpoint(checkpoint, model, optimizer, vars(progress))
        report(STAGE, progress.epoch, config.epochs)
    return progress.seconds


def train_epoch(model: nn.Module, optimizer: Optimizer, inputs: Tensor, labels: Tensor, batch_size: int) -> float:
    """One pass over the samples in the order given; the last batch may be smaller.

    Returns:
        Mean cross entropy over the batches as they were met, in nats.
    """
    total = torch.zeros(())
    batches = list(zip(inputs.split(batch_size), labels.split(batch_size), strict=True))
    for batch, targets in batches:
        optimizer.zero_grad()
        loss = cross_entropy(model(batch), targets)
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return total.item() / len(batches)


def epoch_order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in an epoch: a permutation that depends on these three numbers only, ``(samples,)``."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(samples))


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """The optimizer of a configuration; fused, since the networks are small and a step is mostly overhead."""
    if config.optimizer == "adam":
        return Adam(model.parameters(), config.learning_rate, fused=True)
    return SGD(model.parameters(), config.learning_rate, momentum=config.momentum, fused=True)


def _refuse_divergence(model: nn.Module, loss: float, epoch: int, config: TrainConfig) -> None:
    # the weights too: those of the last step have met no loss yet
    if not math.isfinite(loss) or not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise StudyError(
            f"expected a finite training loss and finite weights, got the loss {loss} in epoch {epoch + 1} of "
            f"{config.epochs}; choose a smaller learning rate than {config.learning_rate:g}"
        )
