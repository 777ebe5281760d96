"""From what was found along a path to its row of the table."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.estimation import Estimate
from transect.measures import across_outputs
from transect.results import Trace

_OF_OUTPUTS = ("absolute_deviation", "centred_deviation", "total_variation", "excess_variation")
_OF_SEGMENTS = ("deviation_norm", "arc_length")


def row_of(found: Trace | Estimate, anchors: Tensor, std: Tensor | None = None) -> dict[str, Any]:
    """The columns of one path, but for its names and the time it took; what is not known is left out.

    Args:
        found: The path's trace, or estimate.
        anchors: Outputs at its anchors, ``(A, C)``.
        std: Standard deviation of each output over a data set, ``(C,)``, or one for all, ``(1,)``.
    """
    segments = len(found.length)
    of_outputs, of_segments = (_bounded(found, names) for names in (_OF_OUTPUTS, _OF_SEGMENTS))
    norms = across_outputs(torch.cat(of_outputs)).reshape(
        -1, segments
    )  # all at once: a row of a small network is quick
    sums = torch.cat([norms, torch.stack(of_segments)]).sum(1).tolist()
    deviation, *ends = sums[:3]
    length, largest = float(found.length.sum()), float(across_outputs(of_outputs[0], "max").sum())
    row = {"segments": segments, "length": length}
    for index, name in enumerate((*_OF_OUTPUTS, *_OF_SEGMENTS)):
        row |= _three(name, sums[3 * index : 3 * index + 3])
    row |= _three("mean_deviation", [number / length for number in (deviation, *ends)])
    row |= {"absolute_deviation_max": largest, "mean_deviation_max": largest / length}
    row["anchor_std"] = _root_mean_square(anchors.double().std(0, correction=0))
    if std is not None:
        if len(std) not in (1, anchors.shape[1]):
            raise InvalidInput(
                f"std: expected one number, or one for each of the {anchors.shape[1]} outputs measured, got {len(std)}."
            )
        normalised = (float(across_outputs(part / std).sum()) / length for part in of_outputs[:3])
        row |= _three("normalised_deviation", list(normalised)) | {"output_std": _root_mean_square(std)}
    return row | (_exact(found, length) if isinstance(found, Trace) else _estimated(found))


def _root_mean_square(numbers: Tensor) -> float:
    return float(numbers.square().mean().sqrt())


def _exact(trace: Trace, length: float) -> dict[str, Any]:
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
        "slope_similarity": float(trace.slope_similarity().nanmean()),
        "unresolved": len(trace.unresolved),
    }


def _estimated(estimate: Estimate) -> dict[str, Any]:
    row = {
        "method": "estimate",
        "samples": int(estimate.samples.sum()),
        "converged": bool(estimate.converged.all()),
    }
    if estimate.uncounted is None:
        low, high = estimate.flips_interval.unbind(-1)
        row |= _three("flips", [float(part.sum()) for part in (estimate.flips, low, high)])
    return row


def _bounded(found: Trace | Estimate, names: tuple[str, ...]) -> list[Tensor]:
    """Measures of every segment, each with the two ends it lies between; without the warnings of the methods."""
    if isinstance(found, Estimate):
        estimates = (found.estimates[name] for name in names)
        return [part for one in estimates for part in (one.value, one.low, one.high)]
    pairs = ((found.reduced[name].value, found.reduced[name].rounding) for name in names)
    return [part for value, bound in pairs for part in (value, (value - bound).clamp_min(0), value + bound)]


def _three(name: str, numbers: list[float]) -> dict[str, float]:
    value, low, high = numbers
    return {name: value, f"{name}_low": low, f"{name}_high": high}
