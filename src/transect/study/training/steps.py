"""The steps of a training: batches, learning rate, optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

from transect.errors import StudyError
from transect.study.config import TrainConfig
from transect.study.data.dataset import DataSet, augmented

_AUGMENTATION, _LAYERS = 1, 2  # streams beside that of the order; a seed sequence takes 0 for nothing


def epoch_order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in an epoch: a permutation that depends on these three numbers only, ``(samples,)``."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(samples))


def seed_of_layers(config: TrainConfig, epoch: int) -> int:
    """Seed of what the network itself draws in an epoch, such as dropout."""
    return _stream(config.seed_of_order, epoch, _LAYERS)


def batches(data: DataSet, config: TrainConfig, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The training samples in the order of an epoch; the last batch may be smaller.

    Args:
        data: The samples, on any device: batches are on the same.
        config: Batch size, augmentation and their seed.
        epoch: Which epoch, from 0.

    Yields:
        What the network sees, ``(batch, *input_shape)``, float32, and the (noisy) labels ``(batch,)``.
    """
    generator = torch.Generator().manual_seed(_stream(config.seed_of_order, epoch, _AUGMENTATION))
    order = epoch_order(len(data.train), config.seed_of_order, epoch).to(data.train.labels.device)
    inputs, labels = data.train.inputs[order], data.train.labels[order]
    for batch, targets in zip(inputs.split(config.batch_size), labels.split(config.batch_size), strict=True):
        yield data.prepare(augmented(batch, config.crop, config.flip, generator)), targets


def refuse_impossible_augmentation(data: DataSet, config: TrainConfig) -> None:
    """Make sure that what is to be cropped or flipped is an image.

    Raises:
        StudyError: If it is none.
    """
    inputs = data.train.inputs
    if (config.crop or config.flip) and (inputs.dtype != torch.uint8 or inputs.ndim != 4):
        raise StudyError(
            f"train.crop and train.flip are for images, (N, C, H, W) of dtype uint8; the inputs of {data.name} have "
            f"the shape {tuple(inputs.shape)} and the dtype {inputs.dtype}: set crop = 0 and flip = false"
        )


def _stream(seed: int, epoch: int, stream: int) -> int:
    """A seed that depends on these three numbers only; 63 bits, as many as PyTorch's generators take."""
    (drawn,) = np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)
    return int(drawn) >> 1


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """The learning rate during an epoch; it is the same for all of its steps.

    Constant: the initial rate. Step: times ``decay`` for every milestone that is not after ``epoch``, so that the
    first epoch with the smaller rate is the one before which ``milestone`` epochs are done. Cosine:
    ``(1 + cos(pi epoch / epochs)) / 2`` of the initial rate (Loshchilov and Hutter, 2017, without restarts), which
    would be zero after the last epoch.

    Args:
        config: The schedule, its initial rate and, for cosine, the number of epochs.
        epoch: How many epochs are done; 0 for the first one.
    """
    if config.schedule == "step":
        return config.learning_rate * config.decay ** sum(milestone <= epoch for milestone in config.milestones)
    if config.schedule == "cosine":
        return config.learning_rate * (1 + math.cos(math.pi * epoch / config.epochs)) / 2
    return config.learning_rate


def refuse_useless_milestones(config: TrainConfig) -> None:
    """Make sure that milestones are there if and only if the schedule looks at them.

    Raises:
        StudyError: If a step schedule has none, or another schedule has some.
    """
    if config.schedule == "step" and not config.milestones:
        raise StudyError(
            "train.schedule is step, but there are no train.milestones: list the epochs, such as [150, 225]"
        )
    if config.schedule != "step" and config.milestones:
        raise StudyError(
            f"train.milestones have no effect on the {config.schedule} schedule; leave them out, or set "
            'train.schedule = "step"'
        )


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
