"""From traces to the columns of the run table."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

import transect
from transect.errors import TransectWarning
from transect.paths import Path

if TYPE_CHECKING:
    from transect.results import Trace

Measure = Callable[[nn.Module, Sequence[Path], float], Mapping[str, float]]
"""``measure(model, paths, logit_std) -> columns``: those of the run table from ``paths`` to ``unresolved``.

It must be importable by its name, since it travels to worker processes."""


def measure_paths(model: nn.Module, paths: Sequence[Path], logit_std: float) -> dict[str, float]:
    """Trace a network exactly along the paths of a split and sum up over them.

    Crossings that rounding cannot tell apart are counted in ``unresolved`` and not warned about one by one.

    Args:
        model: The trained network; put into evaluation mode.
        paths: The paths, traced together.
        logit_std: Standard deviation of the logits over the split, which the normalised deviation is relative to.

    Returns:
        The columns of the run table that come from traces (see :func:`columns`).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransectWarning)
        return columns(transect.trace(model.eval(), list(paths), keep="measures"), logit_std)


def columns(traces: Sequence[Trace], logit_std: float) -> dict[str, float]:
    """Means and sample standard deviations over paths of the measures of their traces.

    Every measure of a path is the sum over its segments, across outputs the l2 norm per segment, except the density
    (crossings per unit of length of the path) and the slope similarity (mean over the segments that have one; NaN where
    none has). Crossings and density include the anchor crossings.

    Args:
        traces: One per path.
        logit_std: What the normalised deviation is divided by.

    Returns:
        Column name to number; counts are integers.
    """
    values = _stack([path_values(trace) for trace in traces])
    values["normalised_deviation"] = values["absolute_deviation"] / logit_std
    spread = {f"{name}_std": _spread(values[name]) for name in _WITH_SPREAD}
    means = {name: _mean(value) for name, value in values.items()}
    counts = {
        "paths": len(traces),
        "segments": sum(len(trace.length) for trace in traces),
        "unresolved": sum(len(trace.unresolved) for trace in traces),
    }
    return means | spread | counts


_WITH_SPREAD = (
    "absolute_deviation",
    "normalised_deviation",
    "crossings",
    "density",
    "total_variation",
    "deviation_norm",
    "slope_similarity",
    "flips",
)


def path_values(trace: Trace) -> dict[str, float]:
    """The measures of one path.

    Args:
        trace: Its trace.

    Returns:
        Measure name to its value for the whole path.
    """
    length = float(trace.length.sum())
    crossings = trace.path_crossings
    return {
        "path_length": length,
        "absolute_deviation": _across_outputs(trace, trace.absolute_deviation()),
        "crossings": crossings,
        "density": crossings / length,
        "total_variation": _across_outputs(trace, trace.total_variation()),
        "deviation_norm": float(trace.deviation_norm().sum()),
        "slope_similarity": _mean(trace.slope_similarity()),
        "anchor_crossings": trace.anchor_crossings,
        "flips": int(trace.flips.sum()),
        "linear_crossings": int(trace.linear_crossings.sum()),
    }


def _across_outputs(trace: Trace, values: Tensor) -> float:
    return float(trace.across_outputs(values, "l2").sum())


def _stack(rows: Sequence[Mapping[str, float]]) -> dict[str, Tensor]:
    return {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in rows[0]}


def _mean(values: Tensor) -> float:
    """Mean of what is a number; NaN where nothing is."""
    return float(values.nanmean())


def _spread(values: Tensor) -> float:
    """Sample standard deviation of what is a number; NaN below two of them."""
    known = values[~values.isnan()]
    return float(known.std()) if len(known) > 1 else math.nan
