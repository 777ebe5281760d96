"""Train one network: plain PyTorch, to be read from top to bottom.

The samples are tensors in memory; an epoch is a random permutation cut into batches. Everything random is seeded, and
the order of an epoch, its augmentation and what the network itself draws depend on nothing but the seed and the number
of the epoch: a training that is killed and goes on from its last checkpoint ends with the same bits as one that was
left alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

from transect.errors import StudyError
from transect.execution.events import Report
from transect.study.batches import batches, epoch_order, refuse_impossible_augmentation, seed_of_layers
from transect.study.checkpoint import Progress, checkpoint_file, load_checkpoint, read_progress, save_checkpoint
from transect.study.config import TrainConfig
from transect.study.data.dataset import DataSet, Split
from transect.study.evaluation import evaluate
from transect.study.hardware import (
    in_precision,
    placed,
    refuse_impossible_precision,
    reproducible_arithmetic,
    resolved_device,
    seeded_layers,
)
from transect.study.learning_curve import Row, TensorBoard, tensorboard, write_learning_curve
from transect.study.schedule import learning_rate, refuse_useless_milestones
from transect.study.snapshots import missing_snapshots, save_snapshot

__all__ = ["Training", "epoch_order", "make_optimizer", "resolved_device", "train", "train_epoch"]

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
    report: Report,
) -> Training:
    """Train a model in place, going on from a checkpoint if there is one.

    In the folder it leaves ``weights.safetensors``, ``weights-epoch-0007.safetensors`` for each epoch to keep,
    ``learning_curve.parquet`` and ``checkpoint.safetensors``. After an early stop the later epochs to keep get the final
    weights. A checkpoint that is beyond an epoch to keep whose weights are not there is of no use, and the training
    begins anew.

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
        data = _placed(data, device)
        optimizer = make_optimizer(model, config)
        progress = _resumed(folder, model, optimizer, epochs_to_keep)
        logging = tensorboard(folder, progress.epoch) if config.tensorboard else nullcontext(TensorBoard())
        with logging as log:
            while not progress.stopped and progress.epoch < config.epochs:
                row = _next_epoch(model, optimizer, data, config, progress)
                log.add(row)
                if progress.epoch in epochs_to_keep:
                    save_snapshot(folder, progress.epoch, model)
                if progress.epoch % config.checkpoint_every == 0 or _has_ended(progress, config):
                    save_checkpoint(checkpoint_file(folder), model, optimizer, progress)
                    write_learning_curve(folder, progress.curve)
                    log.flush()
                report(STAGE, progress.epoch, config.epochs)
    _finish(folder, model, progress, epochs_to_keep)
    return Training(progress.epoch, progress.seconds, progress.stopped)
