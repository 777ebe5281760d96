"""The columns of a table of slices: one row a model and plane."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from torch import Tensor

from transect.errors import InvalidInput
from transect.slicing import Slice
from transect.tables.files import make_schema

_TEXT, _COUNT, _NUMBER = pa.string(), pa.int64(), pa.float64()
_DEVIATIONS = ("absolute_deviation", "mean_deviation", "normalised_deviation", "deviation_norm")
_WITH_LARGEST = ("absolute_deviation", "mean_deviation")


def _bounded(name: str) -> tuple[tuple[str, pa.DataType], ...]:
    largest = (f"{name}_max",) if name in _WITH_LARGEST else ()
    return tuple((column, _NUMBER) for column in (name, f"{name}_low", f"{name}_high", *largest))


PLANE_SCHEMA: pa.Schema = make_schema(
    ("model", _TEXT),
    ("plane", _COUNT),
    ("plane_name", _TEXT),
    ("method", _TEXT),
    ("area", _NUMBER),
    ("regions", _COUNT),
    ("borders", _COUNT),
    ("vertices", _COUNT),
    ("region_density", _NUMBER),
    ("smallest_region", _NUMBER),
    ("largest_region", _NUMBER),
    ("border_length", _NUMBER),
    ("border_density", _NUMBER),
    ("boundary_length", _NUMBER),
    ("mean_slope", _NUMBER),
    ("largest_slope", _NUMBER),
    *(column for name in _DEVIATIONS for column in _bounded(name)),
    ("output_std", _NUMBER),
    ("corner_std", _NUMBER),
    ("unresolved", _COUNT),
    ("seconds", _NUMBER),
    nullable=True,
)
"""Every column, in order.

``plane`` counts from 0; ``plane_name`` is the name where planes were given by name, else the number as text.
``region_density`` and ``border_density`` are regions, and length of the borders between them, per unit of area;
``smallest_region`` and ``largest_region`` are areas; ``boundary_length`` is the length of the decision boundary.
Deviations are those from the affine function through the corners of a triangle, empty on other domains: integrals over
the area, across outputs the l2 norm (``*_max``: the largest output); ``mean_deviation`` is that per unit of area,
``normalised_deviation`` the same of outputs over their standard deviations, where ``measure`` was given a data set or
these; ``output_std`` is the root mean square of these over the outputs, ``corner_std`` the same over the corners of the
domain. ``seconds`` is the only column that differs from call to call.
"""

PLANE_OF_SCALE = (
    "mean_slope",
    "largest_slope",
    *(name for name in _DEVIATIONS if name != "normalised_deviation"),
    *(f"{name}_max" for name in _WITH_LARGEST),
)
"""Columns that are twice as large where the outputs are."""


def row_of_slice(found: Slice, corners: Tensor, std: Tensor | None = None) -> dict[str, Any]:
    """The columns of one plane, but for its names and the time it took; what is not known is left out.

    Args:
        found: The slice.
        corners: Outputs at the corners of the domain, ``(K, C)``.
        std: Standard deviation of each output over a data set, ``(C,)``, or one for all, ``(1,)``.
    """
    if std is not None and len(std) not in (1, len(found.outputs)):
        raise InvalidInput(
            f"std: expected one number, or one for each of the {len(found.outputs)} outputs measured, got {len(std)}."
        )
    row = {
        "method": "exact",
        "area": found.area,
        "regions": found.regions,
        "borders": found.borders,
        "vertices": found.vertices,
        "region_density": found.density,
        "smallest_region": found.smallest,
        "largest_region": found.largest,
        "border_length": found.border_length,
        "border_density": found.border_length / found.area,
        "boundary_length": found.boundary_length,
        "mean_slope": found.mean_slope,
        "largest_slope": found.largest_slope,
        "corner_std": _root_mean_square(corners.double().std(0, correction=0)),
        "unresolved": len(found.unresolved),
    }
    return row | _deviations(found, std) | ({} if std is None else {"output_std": _root_mean_square(std)})


def _deviations(found: Slice, std: Tensor | None) -> dict[str, float]:
    if found.deviation is None or found.deviation_norm is None:
        return {}
    ends = [(found.deviation + by).clamp_min(0) for by in (0.0, -found.deviation_rounding, found.deviation_rounding)]
    absolute, largest = [float(end.norm()) for end in ends], float(found.deviation.max())
    low, high = found.deviation_norm
    row = _three("absolute_deviation", absolute) | _three("deviation_norm", [(low + high) / 2, low, high])
    row |= _three("mean_deviation", [number / found.area for number in absolute])
    row |= {"absolute_deviation_max": largest, "mean_deviation_max": largest / found.area}
    if std is not None:
        row |= _three("normalised_deviation", [float((end / std).norm()) / found.area for end in ends])
    return row


def _root_mean_square(numbers: Tensor) -> float:
    return float(numbers.square().mean().sqrt())


def _three(name: str, numbers: list[float]) -> dict[str, float]:
    value, low, high = numbers
    return {name: value, f"{name}_low": low, f"{name}_high": high}
