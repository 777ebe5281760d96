"""The columns of a table of measurements: one row a model and path."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.estimation import Estimate
from transect.measures import MEASURES, Measure
from transect.measures.base import across_outputs
from transect.support.types import Row
from transect.tables.files import OWN, make_schema
from transect.tracing.result import Trace

BOUNDED = tuple(measure.name for measure in MEASURES if measure.bounded)
"""Columns with two more beside them, ``*_low`` and ``*_high``: the rounding bound of an exact value, or the interval
that is stated for an estimate."""

_TEXT, _COUNT, _NUMBER, _TRUTH = pa.string(), pa.int64(), pa.float64(), pa.bool_()

_COUNTED = ("crossings", "linear_crossings")
_REDUCED = tuple(measure for measure in MEASURES if measure.reducer is not None and measure.name not in _COUNTED)
_SUMMED = tuple(measure for measure in _REDUCED if measure.estimated and measure.bounded and measure.total == "sum")
_APART = tuple(measure for measure in _REDUCED if measure not in _SUMMED)

_WITH_LARGEST = ("absolute_deviation", "mean_deviation")
"""Columns with another beside them, ``*_max``: that of the output where it is largest."""


def _bounded(name: str) -> tuple[tuple[str, pa.DataType], ...]:
    largest = (f"{name}_max",) if name in _WITH_LARGEST else ()
    return tuple((column, _NUMBER) for column in (name, f"{name}_low", f"{name}_high", *largest))


SCHEMA: pa.Schema = make_schema(
    ("model", _TEXT),
    ("path", _COUNT),
    ("path_name", _TEXT),
    ("method", _TEXT),
    ("segments", _COUNT),
    ("length", _NUMBER),
    ("crossings", _COUNT),
    ("anchor_crossings", _COUNT),
    ("path_crossings", _COUNT),
    ("linear_crossings", _COUNT),
    ("density", _NUMBER),
    *(column for name in ("flips", *(name for name in BOUNDED if name != "flips")) for column in _bounded(name)),
    *((measure.name, _NUMBER) for measure in _REDUCED if not measure.bounded),
    ("output_std", _NUMBER),
    ("anchor_std", _NUMBER),
    ("samples", _COUNT),
    ("converged", _TRUTH),
    ("unresolved", _COUNT),
    ("seconds", _NUMBER),
    nullable=True,
)
"""Every column, in order. Empty where a method does not give it: samples show no crossings, a trace has no samples.

``path`` counts from 0; ``path_name`` is the name where paths were given by name, else the number as text. Measures
are those of the whole path: sums over its segments (means or maxima where :class:`transect.measures.Measure` says
so), across outputs the l2 norm of each segment (``*_max``: the largest output of each). ``mean_deviation`` is the
absolute deviation per unit of length, ``normalised_deviation`` that of outputs over their standard deviations, where
``measure`` was given a data set or these; ``output_std`` is the root mean square of these over the outputs,
``anchor_std`` the same over the anchors of the path. ``crossings`` are those inside of segments, ``path_crossings``
these and the anchor crossings, ``density`` crossings per unit of length,
``slope_similarity`` the mean over segments that have one. ``seconds`` is the time of the paths traced together, in
equal parts: the only column that differs from call to call.
"""

OF_SCALE = (
    *(measure.name for measure in MEASURES if measure.scales),
    *(f"{name}_max" for name in _WITH_LARGEST),
)
"""Columns that are twice as large where the outputs are."""

_OF_OUTPUTS = tuple(measure.name for measure in _SUMMED if measure.per == "output")
_OF_SEGMENTS = tuple(measure.name for measure in _SUMMED if measure.per == "segment")
_DEVIATION = 3 * _OF_OUTPUTS.index("absolute_deviation")


def row_of(found: Trace | Estimate, anchors: Tensor, std: Tensor | None = None, own: Sequence[Measure] = ()) -> Row:
    """The columns of one path, but for its names and the time it took; what is not known is left out.

    Args:
        found: The path's trace, or estimate.
        anchors: Outputs at its anchors, ``(A, C)``.
        std: Standard deviation of each output over a data set, ``(C,)``, or one for all, ``(1,)``.
        own: Measures of a user's own that the trace has beside the listed ones.
    """
    segments = len(found.length)
    of_outputs, of_segments = (_with_bounds(found, names) for names in (_OF_OUTPUTS, _OF_SEGMENTS))
    norms = across_outputs(torch.cat(of_outputs)).reshape(
        -1, segments
    )  # all at once: a row of a small network is quick
    sums = torch.cat([norms, torch.stack(of_segments)]).sum(1).tolist()
    deviations, length = of_outputs[_DEVIATION : _DEVIATION + 3], float(found.length.sum())
    largest = float(across_outputs(deviations[0], "max").sum())
    row: Row = {"segments": segments, "length": length}
    for index, name in enumerate((*_OF_OUTPUTS, *_OF_SEGMENTS)):
        row |= _three(name, sums[3 * index : 3 * index + 3])
    row |= _three("mean_deviation", [number / length for number in sums[_DEVIATION : _DEVIATION + 3]])
    row |= {"absolute_deviation_max": largest, "mean_deviation_max": largest / length}
    row["anchor_std"] = _root_mean_square(anchors.double().std(0, correction=0))
    if std is not None:
        if len(std) not in (1, anchors.shape[1]):
            raise InvalidInput(
                f"std: expected one number, or one for each of the {anchors.shape[1]} outputs measured, got {len(std)}."
            )
        normalised = (float(across_outputs(part / std).sum()) / length for part in deviations)
        row |= _three("normalised_deviation", list(normalised)) | {"output_std": _root_mean_square(std)}
    if isinstance(found, Trace):
        mine = {OWN + name: number for name, number in _of_paths(found, own).items()}
        return row | _exact(found, length) | _of_paths(found, _APART) | mine
    return row | _estimated(found) | _of_paths(found, [measure for measure in _APART if measure.estimated])


def _of_paths(found: Trace | Estimate, measures: Sequence[Measure]) -> dict[str, float]:
    """Measures of the whole path, each with its two ends where it has them."""
    row: dict[str, float] = {}
    for measure in measures:
        parts = [part if part.dim() == 1 else across_outputs(part) for part in _with_bounds(found, (measure.name,))]
        numbers = [float(_TOTALS[measure.total](part)) for part in parts]
        row |= _three(measure.name, numbers) if measure.bounded else {measure.name: numbers[0]}
    return row


_TOTALS: dict[str, Callable[[Tensor], Tensor]] = {"sum": torch.sum, "mean": torch.nanmean, "max": torch.amax}


def _root_mean_square(numbers: Tensor) -> float:
    return float(numbers.square().mean().sqrt())


def _exact(trace: Trace, length: float) -> Row:
    flips = float(trace.flips.sum())
    crossings = int(trace.crossings.sum())
    return {
        "method": "exact",
        "crossings": crossings,
        "anchor_crossings": trace.anchor_crossings,
        "path_crossings": trace.path_crossings,
        "linear_crossings": int(trace.linear_crossings.sum()),
        "density": crossings / length,
        **_three("flips", [flips] * 3),
        "unresolved": len(trace.unresolved),
    }


def _estimated(estimate: Estimate) -> Row:
    row: Row = {
        "method": "estimate",
        "samples": int(estimate.samples.sum()),
        "converged": bool(estimate.converged.all()),
    }
    if estimate.uncounted is None:
        low, high = estimate.flips_interval.unbind(-1)
        row |= _three("flips", [float(part.sum()) for part in (estimate.flips, low, high)])
    return row


def _with_bounds(found: Trace | Estimate, names: tuple[str, ...]) -> list[Tensor]:
    """Measures of every segment, each with the two ends it lies between; without the warnings of the methods."""
    if isinstance(found, Estimate):
        estimates = (found.estimates[name] for name in names)
        return [part for one in estimates for part in (one.value, one.low, one.high)]
    pairs = ((found.reduced[name].value, found.reduced[name].rounding) for name in names)
    return [part for value, bound in pairs for part in (value, (value - bound).clamp_min(0), value + bound)]


def _three(name: str, numbers: list[float]) -> dict[str, float]:
    value, low, high = numbers
    return {name: value, f"{name}_low": low, f"{name}_high": high}
