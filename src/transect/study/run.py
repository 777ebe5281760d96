"""One run of a study: train a network of one width and seed, walk around its samples, write its rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from transect.execution.events import Report
from transect.storage.atomic import remove_leftovers, replacing
from transect.storage.tables import RUN_SCHEMA, SCHEMA_VERSION, TIMING_SCHEMA, make_table, write_table
from transect.study.around import paths_around
from transect.study.config import RunKey, StudyConfig
from transect.study.data.dataset import SPLITS, DataSet, SplitName
from transect.study.data.load import load_data
from transect.study.evaluation import Evaluation, evaluate, parameter_count, weight_norm
from transect.study.measuring import Measure
from transect.study.models import build_model
from transect.study.training import train

ROWS, TIMINGS = "rows.parquet", "timings.parquet"
WEIGHTS, CHECKPOINT, ERROR = "weights.safetensors", "checkpoint.safetensors", "error.txt"


@dataclass(frozen=True)
class RunTask:
    """Everything that a worker needs to know of one run.

    Attributes:
        config: The study.
        key: Which of its runs.
        folder: Where the run keeps its files. ``rows.parquet`` is written last: where it is, the run is finished.
        cache: Folder of the data cache; None for the default one.
        measure: The measuring function.
    """

    config: StudyConfig
    key: RunKey
    folder: Path
    cache: Path | None
    measure: Measure


def run(task: RunTask, report: Report) -> str:
    """Do a run, or what is left of it, and write its weights, its timings and its rows.

    Args:
        task: What to do.
        report: Hears of the epochs, and of the splits as they are traced.

    Returns:
        One line that sums up the run.

    Raises:
        StudyError: If training diverges, or a file of the run cannot be used.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(task.folder)
    data = load_data(task.config.data, task.cache)
    model, train_seconds = _trained(task, data, report)
    evaluations = {name: evaluate(model, data.split(name).inputs, data.split(name).labels) for name in SPLITS}
    common = _identity(task.config, task.key) | _network_columns(task.config, model, evaluations)
    rows, timings = [], []
    for step, split in enumerate(SPLITS):
        report("tracing", step, len(SPLITS))
        measures, trace_seconds = _measured(task, model, data, split, evaluations[split].logit_std)
        rows.append(common | {"split": split, "logit_std": evaluations[split].logit_std} | measures)
        timings.append(
            _identity(task.config, task.key)
            | {"split": split, "train_seconds": train_seconds, "trace_seconds": trace_seconds}
        )
    report("tracing", len(SPLITS), len(SPLITS))
    _finish(task.folder, rows, timings)
    return _summary(rows)


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder has written its rows."""
    return (folder / ROWS).exists()


def _trained(task: RunTask, data: DataSet, report: Report) -> tuple[nn.Module, float]:
    config, key = task.config, task.key
    model = build_model(
        config.model.name, key.width, data.input_shape, data.classes, key.seed, batch_norm=config.model.batch_norm
    )
    seconds = train(model, data.train, config.train, key.seed, task.folder / CHECKPOINT, report)
    with replacing(task.folder / WEIGHTS) as temporary:
        safetensors.torch.save_file(model.state_dict(), temporary)
    return model, seconds


def _measured(
    task: RunTask, model: nn.Module, data: DataSet, split: SplitName, logit_std: float
) -> tuple[dict[str, float], float]:
    paths = paths_around(data.split(split), task.config.paths)
    began = time.perf_counter()
    measures = dict(task.measure(model, paths, logit_std))
    return measures, time.perf_counter() - began


def _identity(config: StudyConfig, key: RunKey) -> dict[str, Any]:
    return {"study": config.name, "model": config.model.name, "width": key.width, "seed": key.seed}


def _network_columns(
    config: StudyConfig, model: nn.Module, evaluations: dict[SplitName, Evaluation]
) -> dict[str, float]:
    return {
        "schema_version": SCHEMA_VERSION,
        "label_noise": config.data.label_noise,
        "parameters": parameter_count(model),
        "train_error": evaluations["train"].error,
        "test_error": evaluations["test"].error,
        "train_loss": evaluations["train"].loss,
        "test_loss": evaluations["test"].loss,
        "weight_norm": weight_norm(model),
    }


def _finish(folder: Path, rows: list[dict[str, Any]], timings: list[dict[str, Any]]) -> None:
    """Write the tables, the rows last; the training state, and the error of an earlier try, are of no use then."""
    write_table(make_table(timings, TIMING_SCHEMA), folder / TIMINGS, csv=False)
    write_table(make_table(rows, RUN_SCHEMA), folder / ROWS, csv=False)
    for useless in (CHECKPOINT, ERROR):
        (folder / useless).unlink(missing_ok=True)


def _summary(rows: list[dict[str, Any]]) -> str:
    row = rows[0]
    errors = f"train error {row['train_error']:.3f}, test error {row['test_error']:.3f}"
    return f"{errors}, deviation {row['absolute_deviation']:.3g}, crossings a path {row['crossings']:.4g}"
