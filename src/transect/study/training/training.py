"""Train one network: plain PyTorch, to be read from top to bottom.

The samples are tensors in memory; an epoch is a random permutation cut into batches. Everything random is seeded, and
the order of an epoch, its augmentation and what the network itself draws depend on nothing but the seed and the number
of the epoch: a training that is killed and goes on from its last checkpoint ends with the same bits as one that was
left alone.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from transect.errors import StudyError
from transect.jobs.job import ReportProgress
from transect.study.config import TrainConfig
from transect.study.data.dataset import DataSet, Split
from transect.study.training.checkpoint import (
    Progress,
    checkpoint_file,
    load_checkpoint,
    missing_snapshots,
    read_progress,
    save_checkpoint,
    save_snapshot,
)
from transect.study.training.evaluation import NO_LOG, evaluate, tensorboard, write_learning_curve
from transect.study.training.hardware import (
    in_precision,
    placed,
    refuse_impossible_precision,
    reproducible_arithmetic,
    resolved_device,
    seeded_layers,
)
from transect.study.training.steps import (
    batches,
    learning_rate,
    make_optimizer,
    refuse_divergence,
    refuse_impossible_augmentation,
    refuse_useless_milestones,
    seed_of_layers,
    train_epoch,
)
from transect.support.types import Row

STAGE = "training"


@dataclass(frozen=True)
class Training:
    """What became of a training.

    Attributes:
        epochs: Epochs done.
        seconds: Spent on them, over all interruptions.
        stopped_early: Whether it ended because the error on the training labels was low enough.
    """

    epochs: int
    seconds: float
    stopped_early: bool


def train(
    model: nn.Module,
    data: DataSet,
    config: TrainConfig,
    epochs_to_keep: Collection[int],
    folder: Path,
    report: ReportProgress,
) -> Training:
    """Train a model in place, going on from a checkpoint if there is one.

    In the folder it leaves ``weights.safetensors``, ``weights-epoch-0007.safetensors`` for each epoch to keep,
    ``learning_curve.parquet`` and ``checkpoint.safetensors``. After an early stop the later epochs to keep get the
    final weights. A checkpoint that is beyond an epoch to keep whose weights are not there is of no use, and the
    training begins anew.

    Args:
        model: Freshly built, on the CPU; gives logits ``(N, classes)``.
        data: The samples and the (noisy) labels to learn; the other parts are for the learning curve.
        config: How to train.
        epochs_to_keep: After which epochs, counted from 1, the weights are kept.
        folder: Where the files go.
        report: Hears of each epoch.

    Returns:
        How many epochs it took, and how long.

    Raises:
        StudyError: If the loss or a weight is not finite, the checkpoint is damaged or of another network, or a setting
            does not fit the data or this machine.
        MissingDependency: If logs for TensorBoard are wanted and it is not installed.
    """
    device = resolved_device(config)
    _refuse_impossible(data, config, epochs_to_keep, device)
    with reproducible_arithmetic(config, device), placed(model, device):
        data = _moved(data, device)
        optimizer = make_optimizer(model, config)
        progress = _resumed(folder, model, optimizer, epochs_to_keep)
        with tensorboard(folder, progress.epoch) if config.tensorboard else nullcontext(NO_LOG) as log:
            while not _has_ended(progress, config):
                log.add(_next_epoch(model, optimizer, data, config, progress))
                if progress.epoch in epochs_to_keep:
                    save_snapshot(folder, progress.epoch, model)
                if progress.epoch % config.checkpoint_every == 0 or _has_ended(progress, config):
                    save_checkpoint(checkpoint_file(folder), model, optimizer, progress)
                    write_learning_curve(folder, progress.curve)
                    log.flush()
                report(STAGE, progress.epoch, config.epochs)
    _finish(folder, model, progress, epochs_to_keep)
    return Training(progress.epoch, progress.seconds, progress.stopped)


def _next_epoch(model: nn.Module, optimizer: Optimizer, data: DataSet, config: TrainConfig, progress: Progress) -> Row:
    """Train for an epoch and note it in the progress; returns its row of the learning curve."""
    began, epoch, device = time.perf_counter(), progress.epoch, data.train.labels.device
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, epoch)
    model.train()
    with seeded_layers(seed_of_layers(config, epoch), device):
        loss, error = train_epoch(in_precision(model, config, device), optimizer, batches(data, config, epoch))
    refuse_divergence(model, loss, epoch, config)
    seconds = time.perf_counter() - began
    progress.epoch += 1
    progress.seconds += seconds
    progress.stopped = _is_low_enough(error, model, data, config)
    row = {
        "epoch": progress.epoch,
        "learning_rate": learning_rate(config, epoch),
        "train_loss": loss,
        "train_error": error,
        **_errors(model, data, config, progress),
        "seconds": seconds,
    }
    progress.curve.append(row)
    return row


def _is_low_enough(error: float, model: nn.Module, data: DataSet, config: TrainConfig) -> bool:
    """Whether to stop: by the error during the epoch, which costs nothing, and if so by that of the network now."""
    limit = config.stop_error
    return limit is not None and error <= limit and evaluate(model, data.train, data.prepare).error <= limit


def _errors(model: nn.Module, data: DataSet, config: TrainConfig, progress: Progress) -> Row:
    every = config.evaluate_every
    is_due = _has_ended(progress, config) or (every > 0 and progress.epoch % every == 0)
    parts = {"validation_error": data.validation, "test_error": data.test}
    return {
        name: evaluate(model, part, data.prepare).error if is_due and len(part) else None
        for name, part in parts.items()
    }


def _has_ended(progress: Progress, config: TrainConfig) -> bool:
    return progress.stopped or progress.epoch >= config.epochs


def _resumed(folder: Path, model: nn.Module, optimizer: Optimizer, epochs_to_keep: Collection[int]) -> Progress:
    path = checkpoint_file(folder)
    if path.exists():
        done = read_progress(path).epoch
        if missing_snapshots(folder, [epoch for epoch in epochs_to_keep if epoch <= done]):
            path.unlink()
    return load_checkpoint(path, model, optimizer) or Progress()


def _finish(folder: Path, model: nn.Module, progress: Progress, epochs_to_keep: Collection[int]) -> None:
    write_learning_curve(folder, progress.curve)
    for epoch in epochs_to_keep:
        if epoch > progress.epoch:
            save_snapshot(folder, epoch, model)
    save_snapshot(folder, "last", model)


def _moved(data: DataSet, device: torch.device) -> DataSet:
    def moved(split: Split) -> Split:
        return replace(split, inputs=split.inputs.to(device), labels=split.labels.to(device))

    return replace(data, train=moved(data.train), validation=moved(data.validation), test=moved(data.test))


def _refuse_impossible(
    data: DataSet, config: TrainConfig, epochs_to_keep: Collection[int], device: torch.device
) -> None:
    """What would fail, or have no effect, is refused before an hour of training."""
    beyond = sorted(epoch for epoch in epochs_to_keep if not 1 <= epoch <= config.epochs)
    if beyond:
        raise StudyError(
            f"expected epochs to measure after between 1 and the {config.epochs} of the training, got "
            f"{', '.join(map(str, beyond))}; train longer, or choose earlier ones"
        )
    refuse_useless_milestones(config)
    refuse_impossible_augmentation(data, config)
    refuse_impossible_precision(config, device)
