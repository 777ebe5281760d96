"""What all measures share: streaming reducers over the runs of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from transect.engine.rows import Pieces, Run
from transect.errors import check_one_of
from transect.measures import MEASURES, Measure

_SURE = 16.0  # multiples of eps max|f|, or of the standard deviation of rounding, by which an output is known


@dataclass(frozen=True)
class Ends:
    """What is known of every segment before it is walked.

    Attributes:
        start: Outputs at the start, ``(S, C)`` float64.
        end: Outputs at the end, ``(S, C)`` float64.
        length: Length, ``(S,)`` float64.
        eps: Unit roundoff of the dtype the outputs are computed in.
        deviation: Standard deviation of the outputs' rounding errors, carried through the network: above eps max|f|
            where the outputs are small differences of larger values.
    """

    start: Tensor
    end: Tensor
    length: Tensor
    eps: float
    deviation: float = 0.0

    def rounding(self, peak: Tensor) -> Tensor:
        """r: how far rounding may move one output, where the largest is ``peak``: 16 times eps max|f| or sigma."""
        return _SURE * (self.eps * peak).clamp_min(self.deviation)

    @cached_property
    def scale(self) -> Tensor:
        """Largest absolute output at the two ends, ``(S,)``."""
        return torch.maximum(self.start.abs().amax(1), self.end.abs().amax(1))

    def straight(self, segment: Tensor, t: Tensor) -> Tensor:
        """The affine function through both ends of the segments, at ``t``, ``(len(t), C)``."""
        return torch.lerp(self.start[segment], self.end[segment], t.unsqueeze(1))


@dataclass(frozen=True)
class Reduced:
    """A measure, one entry a segment (and output), with a bound on its rounding error of the same shape."""

    value: Tensor
    rounding: Tensor

    def rows(self, part: slice) -> Reduced:
        """The entries of some segments."""
        return Reduced(self.value[part], self.rounding[part])


class Reducer(Protocol):
    """A measure computed while the runs of a trace go by, however they are cut."""

    def update(self, run: Run) -> None:
        """Take a run into account; runs come in order."""

    def results(self) -> Mapping[str, Reduced]:
        """The measures by name; float64."""


def reducers_of(ends: Ends, measures: Iterable[Measure] = MEASURES) -> tuple[Reducer, ...]:
    """The reducers of measures, each once."""
    makers = dict.fromkeys(measure.make for measure in measures)
    return tuple(make(ends) for make in makers if make is not None)


class SizesSeen:
    """What rounding bounds are made of: the largest output and the number of regions of every segment so far."""

    def __init__(self, ends: Ends) -> None:
        self._ends, self._outputs = ends, ends.start.shape[1]
        self._peak = ends.scale.clone()
        self.regions = torch.zeros_like(ends.length)

    def update(self, pieces: Pieces) -> None:
        """Take the new intervals of a run into account."""
        raise_by_segment(self._peak, pieces.segment, pieces.peak)
        self.regions += torch.bincount(pieces.segment, minlength=len(self.regions))

    @property
    def difference(self) -> Tensor:
        """Rounding of the difference of two outputs: 2 r, ``(S,)``."""
        return 2 * self._ends.rounding(self._peak)

    @property
    def summation(self) -> Tensor:
        """Relative error, ``(S,)``, of a sum of one non-negative term a region, each a sum over the outputs.

        Terms added one by one lose at most half an eps of the sum each; in float64 whatever the outputs' dtype.
        """
        return (self.regions + self._outputs + 8) * torch.finfo(torch.float64).eps


def row_norms(x: Tensor) -> Tensor:
    """l2 norm of every row, ``(N, C)`` to ``(N,)``; squares neither overflow nor vanish."""
    largest = x.abs().amax(1)
    scale = torch.where(largest > 0, largest, 1.0)
    norms: Tensor = (x / scale.unsqueeze(1)).norm(dim=1) * scale
    return norms


def add_by_segment(total: Tensor, segment: Tensor, values: Tensor) -> None:
    """Add ``values`` to the entries of their segments, in place."""
    total.index_add_(0, segment, values)


def raise_by_segment(peak: Tensor, segment: Tensor, values: Tensor) -> None:
    """Raise the entries of the segments to ``values`` where these are larger, in place."""
    peak.scatter_reduce_(0, segment, values, "amax")


def across_outputs(values: Tensor, how: str = "l2") -> Tensor:
    """One number a segment.

    Args:
        values: A measure of every output, ``(S, C)``.
        how: ``"l2"``, the norm over the outputs (for ``[[1, 0], [0, 1]]`` summed over segments: 2); ``"mean"``, or
            ``"max"``.

    Raises:
        InvalidInput: ``how`` is something else.
    """
    check_one_of("how", how, ("l2", "mean", "max"))
    return values.norm(dim=1) if how == "l2" else values.mean(1) if how == "mean" else values.amax(1)
