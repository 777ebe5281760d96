"""From a network and paths to rows: one a path."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import transect
from transect.errors import TransectWarning
from transect.measures import across_outputs
from transect.measuring.models import Source
from transect.measuring.options import Options
from transect.measuring.prepared import prepare
from transect.measuring.work import measure_together
from transect.paths import Path
from transect.study.columns import PER_PATH
from transect.study.config import MeasureConfig
from transect.study.legacy import legacy_deviation

if TYPE_CHECKING:
    from transect.results import Trace

Row = dict[str, Any]
Measure = Callable[[nn.Module, Sequence[Path], MeasureConfig, str], list[Row]]
"""``measure(model, paths, how, device) -> rows``: one a path, with columns of
:data:`transect.study.columns.PATH_SCHEMA` from ``segments`` on.

It must be importable by its name, since it travels to worker processes."""

_RENAMED = {"length": "path_length", "samples": "samples_taken"}
_COLUMNS = frozenset(name for name, _ in PER_PATH) - {"path"}


def measure_paths(model: nn.Module, paths: Sequence[Path], how: MeasureConfig, device: str = "cpu") -> list[Row]:
    """Measure a network along paths, all together.

    Crossings that rounding cannot tell apart are counted in ``unresolved`` and not warned about one by one.

    Args:
        model: The network, in evaluation mode.
        paths: The paths.
        how: Exactly or from samples, and with which faults of the released code.
        device: Where to.

    Returns:
        One row a path. With a fault of the released code switched on, deviations that it does not touch are left out.

    Raises:
        UnsupportedModel: If regions are asked for and the network is not piecewise affine.
    """
    options = Options(
        method=how.method,
        dtype=getattr(torch, how.dtype) if how.method == "exact" else None,
        device=device,
        rtol=how.rtol,
        max_samples=how.max_samples,
    )
    network = prepare(Source("the network", lambda: model), paths[0], options).model
    rows = [_renamed(row) for row in measure_together(network, paths, options)]
    if how.upper_bound_integral or how.drop_last_region:
        return [_with_faults(row, network, path, how) for row, path in zip(rows, paths, strict=True)]
    return rows


def _renamed(row: Row) -> Row:
    named = {_RENAMED.get(name, name): value for name, value in row.items() if name not in _RENAMED.values()}
    return {name: value for name, value in named.items() if name in _COLUMNS}


def _with_faults(row: Row, network: Any, path: Path, how: MeasureConfig) -> Row:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransectWarning)
        found = transect.trace(network, path, keep="all", verify=False)
    deviation = float(across_outputs(_deviations(found, how)).sum())
    unharmed = {name: value for name, value in row.items() if "deviation" not in name}
    return unharmed | {"absolute_deviation": deviation, "mean_deviation": deviation / row["path_length"]}


def _deviations(found: Trace, how: MeasureConfig) -> Tensor:
    return torch.stack(
        [
            legacy_deviation(segment.t, segment.outputs, float(length), how.upper_bound_integral, how.drop_last_region)
            for segment, length in zip(found.segments, found.length, strict=True)
        ]
    )
