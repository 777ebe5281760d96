"""From the rows of paths to the row of a network: means and spreads over paths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from transect.labels import MEASURES
from transect.study.config import MeasuringConfig, NetworkConfig

Row = dict[str, Any]
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
    values = {name: _numbers(rows, name) for name in (*MEASURES, *apart)}
    means = {name: _mean(found) for name, found in values.items()}
    spreads = {f"{name}_std": _spread(values[name]) for name in MEASURES}
    unresolved = [row["unresolved"] for row in rows if row.get("unresolved") is not None]
    counts = {
        "paths": len(rows),
        "segments": sum(row["segments"] for row in rows),
        "unresolved": sum(unresolved) if unresolved else None,
    }
    return means | spreads | counts


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


def _over(value: float | None, by: float) -> float | None:
    return None if value is None or not by > 0 else value / by
