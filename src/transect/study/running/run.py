"""The work on one network of a study: train it and say how good it is; then, block by block, measure it along paths."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from transect.jobs.job import ReportProgress
from transect.study.columns import PART_SCHEMA
from transect.study.config import MeasuringConfig, NetworkConfig, TrainConfig
from transect.study.data.dataset import SPLITS, DataSet
from transect.study.data.load import load_data
from transect.study.identity import refuse_changed
from transect.study.models import build_model, load_network
from transect.study.running.folders import RunFolder, Stated, blocks
from transect.study.running.measuring import MeasurePaths, paths_around
from transect.study.training.checkpoint import checkpoint_file
from transect.study.training.evaluation import evaluate, parameter_count, weight_norm
from transect.study.training.hardware import reproducible_arithmetic, resolved_device
from transect.study.training.training import train
from transect.tables.files import make_table, remove_leftovers, with_settings, write_table, write_text

_data = lru_cache(maxsize=1)(load_data)  # a worker measures many blocks of paths on the same data, one after the other


@dataclass(frozen=True)
class NetworkTask:
    """Everything that a worker needs to know to train a network.

    Attributes:
        network: Which one.
        label: Its name for people.
        folder: Where its files go.
        epochs: After which epochs it will be measured.
        cache: Folder of the data cache; None for the default one.
    """

    network: NetworkConfig
    label: str
    folder: RunFolder
    epochs: tuple[int | str, ...]
    cache: Path | None


@dataclass(frozen=True)
class PartTask:
    """Everything that a worker needs to know to measure a network along a block of paths.

    Attributes:
        task: The network.
        measuring: The way of measuring.
        index: Which block of its paths.
        measure: The measuring function.
    """

    task: NetworkTask
    measuring: MeasuringConfig
    index: int
    measure: MeasurePaths


def train_network(task: NetworkTask, report: ReportProgress) -> str:
    """Train a network, or what is left of it, evaluate it after each epoch asked for, and write that down last.

    A network from a checkpoint of the user's is only evaluated.

    Args:
        task: What to do.
        report: Hears of the epochs.

    Returns:
        One line that sums up the network.

    Raises:
        StudyError: If training diverges, or a file of the run cannot be used.
    """
    folder = task.folder
    folder.path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.path)
    write_text(
        folder.settings, json.dumps(task.network.model_dump(mode="json") | {"label": task.label}, indent=2) + "\n"
    )
    with Stated(folder.path, report) as stated:
        data = _known_data(task)
        ended = _trained(task, data, stated)
        evaluation = _evaluated(task, data, ended)
    write_text(folder.evaluation, json.dumps(evaluation, indent=2) + "\n")
    checkpoint_file(folder.path).unlink(missing_ok=True)  # of no use any more
    last = evaluation["epochs"][str(task.epochs[-1])]
    return f"train error {last['train']['error']:.3f}, test error {last['test']['error']:.3f}"


def measure_part(part: PartTask, report: ReportProgress) -> str:
    """MeasurePaths a network along a block of paths and write the rows.

    Args:
        part: What to do.
        report: Hears that it has begun, and ended.

    Returns:
        An empty line: what came out is in the file.

    Raises:
        StudyError: If the paths cannot be made, or a file of the run cannot be used.
        TransectError: If the network cannot be measured in this way.
    """
    task, measuring = part.task, part.measuring
    with Stated(task.folder.path, report) as stated:
        stated("measuring", part.index, len(blocks(measuring)))
        data = _known_data(task)
        which = blocks(measuring)[part.index]
        paths = paths_around(data, measuring.paths)[which.start : which.stop]
        model = network_after(task, data, measuring.measures.epoch)
        began = time.perf_counter()
        rows = part.measure(model, paths, measuring.measures, str(resolved_device(task.network.train)))
        seconds = (time.perf_counter() - began) / len(rows)
    rows = [{"path": index} | row | {"seconds": seconds} for index, row in zip(which, rows, strict=True)]
    write_table(make_table(rows, with_settings(PART_SCHEMA, rows)), task.folder.part(measuring, part.index), csv=False)
    return ""


def network_after(task: NetworkTask, data: DataSet, epoch: int | str) -> nn.Module:
    """A network of a study as it was after an epoch, in evaluation mode."""
    network = task.network
    if network.model.checkpoint is not None:
        return load_network(network.model, data.input_shape, data.classes).eval()
    model = build_model(network.model, data.input_shape, data.classes, network.train.seed)
    model.load_state_dict(safetensors.torch.load_file(task.folder.weights(epoch)))
    return model.eval()


def _known_data(task: NetworkTask) -> DataSet:
    """The data, after a look whether it and all else that a network is made of are what they were."""
    data = _data(task.network.data, task.cache)
    refuse_changed(task.network, data, task.cache)
    return data


def _trained(task: NetworkTask, data: DataSet, report: ReportProgress) -> dict[str, Any]:
    network = task.network
    if network.model.checkpoint is not None:
        return {"epochs_done": 0, "train_seconds": 0.0}
    model = build_model(network.model, data.input_shape, data.classes, network.train.seed)
    keep = [epoch for epoch in task.epochs if isinstance(epoch, int)]
    ended = train(model, data, network.train, keep, task.folder.path, report)
    return {"epochs_done": ended.epochs, "train_seconds": ended.seconds}


def _evaluated(task: NetworkTask, data: DataSet, ended: dict[str, Any]) -> dict[str, Any]:
    epochs = {}
    for epoch in task.epochs:
        model = network_after(task, data, epoch)
        number = ended["epochs_done"] if epoch == "last" else min(int(epoch), ended["epochs_done"])
        errors = _errors(model, data, task.network.train)
        epochs[str(epoch)] = {"epoch": number, "weight_norm": weight_norm(model)} | errors
    samples = {name: len(data.split(name)) for name in SPLITS}
    return ended | {"parameters": parameter_count(model), "samples": samples, "epochs": epochs}


def _errors(model: nn.Module, data: DataSet, config: TrainConfig) -> dict[str, Any]:
    device = resolved_device(config)
    parts = {name: data.split(name) for name in SPLITS}
    with reproducible_arithmetic(config, device):
        return {name: vars(evaluate(model, split, data.prepare, device)) for name, split in parts.items() if len(split)}
