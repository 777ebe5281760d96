"""From the rows of paths to the tables of a study: means and spreads over paths, and what is known of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from transect.study.columns import PART_SCHEMA, PATH_SCHEMA, RUN_SCHEMA, TIMING_SCHEMA
from transect.study.config import MeasuringConfig, NetworkConfig, StudyConfig
from transect.study.running.folders import PATH_TABLE, TABLE, TIMING_TABLE, RunFolder, blocks, run_folder
from transect.support.types import Cell, Row, number
from transect.tables.files import is_own, make_table, read_table, with_settings, write_table
from transect.tables.names import MEASURES

FAULTS = ("repeated_normalisation", "rolled_closure", "upper_bound_integral", "drop_last_region")


def network_columns(study: str, network: NetworkConfig, label: str, variant: str) -> Row:
    """The columns that say which network a row is about."""
    return {
        "study": study,
        "run": network.hash(),
        "label": label,
        "data": network.data.name,
        "label_noise": network.data.label_noise,
        "model": network.model.name,
        "batch_norm": network.model.batch_norm,
        "width": network.model.width,
        "seed": network.train.seed if network.model.checkpoint is None else None,
        "variant": variant,
    }


def measuring_columns(measuring: MeasuringConfig, epoch: int, way: str) -> Row:
    """The columns that say how it was measured.

    Args:
        measuring: The way of measuring.
        epoch: The epoch that it stands for.
        way: What differs from the other ways in settings that have no column.
    """
    paths, how = measuring.paths, measuring.measures
    faults = [name for name in FAULTS if getattr(paths, name, False) or getattr(how, name, False)]
    return {
        "measuring": measuring.hash(),
        "epoch": epoch,
        "last": how.epoch == "last",
        "kind": paths.kind,
        "around": paths.around,
        "split": paths.split,
        "samples": paths.samples,
        "legacy": "+".join(faults),
        "method": how.method,
        "way": way,
    }


def evaluation_columns(evaluation: Mapping[str, Any], epoch: int | str, split: str) -> Row:
    """The columns that say how good a network is, from what its run wrote down."""
    found = evaluation["epochs"][str(epoch)]
    return {
        "parameters": evaluation["parameters"],
        "weight_norm": found["weight_norm"],
        "train_error": found["train"]["error"],
        "validation_error": found["validation"]["error"] if "validation" in found else None,
        "test_error": found["test"]["error"],
        "train_loss": found["train"]["loss"],
        "test_loss": found["test"]["loss"],
        "logit_std": found[split]["logit_std"],
    }


def with_scaled(rows: Sequence[Row], logit_std: float) -> list[Row]:
    """Rows of paths with their deviation over the standard deviation of the logits."""
    return [row | {"scaled_deviation": _over(row.get("absolute_deviation"), logit_std)} for row in rows]


def summed_up(rows: Sequence[Row]) -> Row:
    """Means over paths, and sample standard deviations (``*_std``).

    A mean is over the paths that have a value; None where none has.

    Args:
        rows: One a path, columns of :data:`transect.study.columns.PATH_SCHEMA`.
    """
    apart = ("path_length", "anchor_crossings", "path_crossings", "linear_crossings")
    own = dict.fromkeys(name for row in rows for name in filter(is_own, row) if not name.endswith(("_low", "_high")))
    values = {name: _numbers(rows, name) for name in (*MEASURES, *own, *apart)}
    means = {name: _mean(found) for name, found in values.items()}
    spreads = {f"{name}_std": _spread(values[name]) for name in (*MEASURES, *own)}
    unresolved = [number(row["unresolved"]) for row in rows if row.get("unresolved") is not None]
    counts: Row = {
        "paths": len(rows),
        "segments": sum(number(row["segments"]) for row in rows),
        "unresolved": sum(unresolved) if unresolved else None,
    }
    return {**means, **spreads, **counts}


def _numbers(rows: Sequence[Row], name: str) -> Tensor:
    found = [row.get(name) for row in rows]
    return torch.tensor([math.nan if value is None else value for value in found], dtype=torch.float64)


def _mean(values: Tensor) -> float | None:
    known = values[~values.isnan()]
    return float(known.mean()) if len(known) else None


def _spread(values: Tensor) -> float | None:
    """Sample standard deviation of what is a number; none below two of them."""
    known = values[~values.isnan()]
    return float(known.std()) if len(known) > 1 else None


def _over(value: Cell, by: float) -> float | None:
    return None if value is None or not by > 0 else number(value) / by


def write_tables(config: StudyConfig, folder: Path, to: Path | None = None) -> tuple[Path, ...]:
    """Write the run table, the path table and the timings of all that is finished, as Parquet and CSV.

    Rows are in the order of the study: network by network, for each its ways of measuring. One that is not finished
    has no rows; one whose row was taken from elsewhere has no paths and timings.

    Args:
        config: The study.
        folder: Its folder.
        to: Where the tables go; the same folder where None.

    Returns:
        The Parquet files.

    Raises:
        StudyError: If a file of a run is damaged.
    """
    to = folder if to is None else to
    runs: list[Row] = []
    paths: list[Row] = []
    timings: list[Row] = []
    swept, swept_ways = config.swept()
    for (network, label), variant, settings in zip(config.labels(), config.variants(), swept, strict=True):
        found = run_folder(folder, network)
        given, trained = found.read_rows(), found.is_trained(config.epochs())
        common = network_columns(config.name, network, label, variant)
        common |= _with_numbers(settings, found.read_evaluation().get("samples", {})) if trained else settings
        for measuring, way, how in zip(config.measurings(), config.way_names(), swept_ways, strict=True):
            if (row := given.get(measuring.hash())) is not None:
                runs.append(_given(row, common | measuring_columns(measuring, row["epoch"], way) | how))
            elif trained and not found.missing_parts(measuring):
                of_run, of_paths, timing = _rows(common | how, found, measuring, way)
                runs.append(of_run)
                paths += of_paths
                timings.append(timing)
    return (
        _written(timings, TIMING_SCHEMA, to / TIMING_TABLE),
        _written(paths, PATH_SCHEMA, to / PATH_TABLE),
        _written(runs, RUN_SCHEMA, to / TABLE),
    )


def _written(rows: Sequence[Row], schema: pa.Schema, to: Path) -> Path:
    return write_table(make_table(rows, with_settings(schema, rows)), to)


def _given(row: Row, identity: Row) -> Row:
    """A row that was taken from elsewhere, called as it is in this study."""
    measured = {name: row[name] for name in RUN_SCHEMA.names if name not in identity}
    numbers = {name: row.get(name) for name, value in identity.items() if value is None and name.endswith("_samples")}
    return measured | identity | numbers


def _with_numbers(settings: Row, known: Mapping[str, int]) -> Row:
    """``all`` samples become their number."""
    numbers = {f"data.{part}_samples": number for part, number in known.items()}
    return {name: numbers.get(name) if value is None else value for name, value in settings.items()}


def _rows(common: Row, folder: RunFolder, measuring: MeasuringConfig, way: str) -> tuple[Row, list[Row], Row]:
    evaluation = folder.read_evaluation()
    epoch = measuring.measures.epoch
    identity = common | measuring_columns(measuring, evaluation["epochs"][str(epoch)]["epoch"], way)
    known = evaluation_columns(evaluation, epoch, measuring.paths.split)
    parts = [read_table(folder.part(measuring, index), PART_SCHEMA) for index in range(len(blocks(measuring)))]
    rows = [row for part in parts for row in part.to_pylist()]
    seconds = sum(row.pop("seconds") for row in rows)
    rows = with_scaled(rows, number(known["logit_std"]))
    timing = identity | {"train_seconds": evaluation["train_seconds"], "measure_seconds": seconds}
    return identity | known | summed_up(rows), [identity | row for row in rows], timing
