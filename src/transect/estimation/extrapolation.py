"""From samples on nested grids to estimates: what the finest grid gives, what it misses, and how sure that is.

Between samples the function is taken to be affine. In the limit the error of a deviation is a fourth of what it was on
the grid half as fine; what a variation, an arc length or a count of flips misses is between a fourth (smooth) and a
half (kinks). So the last change says what is still missing, and all changes together how sure that is.

Where a function jumps nothing falls: a change that neighbouring intervals do not share stays as it is when the grid
doubles. Such a change is taken out of what is extrapolated, and its interval may be off by all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transect.measures.absolute_deviation import mean_absolute_value
from transect.measures.centred_deviation import centred
from transect.measures.deviation_norm import mean_norm

FEW = 50  # flips below which nothing is extrapolated: exact is cheap there
_SURE = 16.0  # multiples of eps max|f| by which rounding may move an output, as for traces
_GRIDS = 4  # on which a jump is looked for: on two in a row, each compared with two coarser ones
_THIRD, _WEIGHT = 4.0, 12.0  # twelve flips' worth of belief that a doubling finds a third of what the last one found


@dataclass(frozen=True)
class Estimated:
    """An estimate and the interval it is stated to lie in; the three have one shape."""

    value: Tensor
    low: Tensor
    high: Tensor

    def part(self, which: slice | Tensor | tuple[slice, int]) -> Estimated:
        """Some of the entries."""
        return Estimated(self.value[which], self.low[which], self.high[which])

    @property
    def interval(self) -> Tensor:
        """Both ends, in a last dimension."""
        return torch.stack([self.low, self.high], -1)


def estimated_measures(outputs: Tensor, length: Tensor, eps: float) -> dict[str, Estimated]:
    """Every measure from samples.

    Args:
        outputs: Outputs at equally spaced samples with both ends, ``(M, n + 1, C)`` float64, n a multiple of 4.
        length: Lengths of the segments, ``(M,)``.
        eps: Unit roundoff of the dtype the outputs were computed in.

    Returns:
        By name; ``(M, C)``, those across outputs ``(M,)``.
    """
    r = _SURE * eps * outputs.abs().amax((1, 2)).unsqueeze(1)
    along = length.unsqueeze(1)
    root = outputs.shape[2] ** 0.5
    level = centred(outputs.flatten(0, 1)).reshape(outputs.shape)
    intervals = outputs.shape[1] - 1
    total, arc = _total_variation(outputs, 2 * r * intervals), _arc_length(outputs, 2 * r * root * intervals)
    norm = _deviation(outputs, _norm, along, 2 * r * root)
    return {
        "absolute_deviation": _deviation(outputs, _absolute, along, 2 * r),
        "centred_deviation": _deviation(level, _absolute, along, 4 * r),
        "deviation_norm": norm.part((slice(None), 0)),
        "total_variation": total,
        "excess_variation": _less(total, (outputs[:, -1] - outputs[:, 0]).abs(), 2 * r),
        "arc_length": arc.part((slice(None), 0)),
    }


def deviation_error(outputs: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Mean deviation of every output from every ``stride``-th sample, and its stated error without rounding.

    The error adds up, as if they were independent, what halving each interval changed. It holds for one kink (the
    extrapolated value is off by at most two thirds of the change) and for many. Jumps are not taken for independent
    (the steps of a staircase lie alike in their intervals): each adds its height times the width of an interval, of
    which it can use one half.
    """
    return _extrapolated(outputs[:, ::stride], _absolute)


def rounding_of_deviation(outputs: Tensor, eps: float) -> Tensor:
    """How far rounding may move a mean deviation, ``(M, 1)``."""
    return 2 * _SURE * eps * outputs.abs().amax((1, 2)).unsqueeze(1)


def _bent(outputs: Tensor) -> Tensor:
    """The outputs less the affine function through both ends."""
    t = torch.linspace(0, 1, outputs.shape[1], dtype=torch.float64, device=outputs.device).reshape(1, -1, 1)
    return outputs - torch.lerp(outputs[:, :1], outputs[:, -1:], t)


@dataclass(frozen=True)
class _Size:
    """How large a vector is, and how large on average over an interval on which it is affine."""

    of: Callable[[Tensor], Tensor]
    mean: Callable[[Tensor, Tensor], Tensor]


def _mean_norm(left: Tensor, right: Tensor) -> Tensor:
    return mean_norm(left.flatten(0, 1), right.flatten(0, 1)).reshape(*left.shape[:2], 1)


_absolute = _Size(torch.abs, mean_absolute_value)
_norm = _Size(lambda vector: vector.norm(dim=2, keepdim=True), _mean_norm)


def _extrapolated(outputs: Tensor, size: _Size) -> tuple[Tensor, Tensor]:
    """Integral of the mean deviation over [0, 1] and its stated error: Richardson's extrapolation of order 2."""
    bent, intervals = _bent(outputs), outputs.shape[1] - 1
    fine = size.mean(bent[:, :-1], bent[:, 1:]) / intervals
    half = bent[:, ::2]
    coarse = size.mean(half[:, :-1], half[:, 1:]) / (half.shape[1] - 1)
    jumps, share = _jumps(outputs, size)
    change = (fine[:, ::2] + fine[:, 1::2] - coarse) * (1 - share)
    error = change.square().sum(1).sqrt() + jumps / intervals
    return (fine.sum(1) + change.sum(1) / 3).clamp_min(0), error


def _jumps(outputs: Tensor, size: _Size) -> tuple[Tensor, Tensor]:
    """Heights of all jumps together, ``(M, C)``, and which share of every two intervals' bend they are.

    Two jumps can hide from one another on one grid: where those of the grid before add up to more, these count.
    """
    changes = [outputs[:, :: 1 << level].diff(dim=1) for level in range(_GRIDS)]
    bends = [size.of(one[:, ::2] - one[:, 1::2]) for one in changes if one.shape[1] > 1]
    kept = [_kept(bends[level:], size.of(_slopes(changes[level]))) for level in range(min(2, len(bends)))]
    heights = torch.stack([part.sum(1) for part in kept]).mean(0)
    return heights, kept[0] / torch.where(bends[0] > 0, bends[0], 1.0)


def _slopes(changes: Tensor) -> Tensor:
    """By how much the intervals before and after every two differ; nothing for the first and the last two."""
    inner = changes[:, 1:-1]
    return functional.pad(inner[:, ::2][:, :-1] - inner[:, 1::2][:, 1:], (0, 0, 1, 1))


def _kept(bends: list[Tensor], slopes: Tensor) -> Tensor:
    """What of the finest bends is a jump.

    A bend is by how much the changes of two neighbouring intervals differ. At a kink it is no more than the slopes on
    its sides differ by, and is halved with the width of the intervals; where the function is smooth it falls faster.
    """
    most = bends[0]
    for level, coarser in enumerate(bends[1:3], 1):
        most = torch.maximum(most, coarser.repeat_interleave(1 << level, 1))
    return (2 * bends[0] - most - slopes).clamp_min(0)


def _deviation(outputs: Tensor, size: _Size, length: Tensor, rounding: Tensor) -> Estimated:
    value, error = _extrapolated(outputs, size)
    error = error + rounding
    return Estimated(value * length, (value - error).clamp_min(0) * length, (value + error) * length)


def _total_variation(outputs: Tensor, rounding: Tensor) -> Estimated:
    """Sum over intervals of the absolute change, which grows with every sample.

    Extremes between samples hide the rest: by the trend of the last doublings so much, by the geometry of the samples
    at most twice as much as on average. The value takes the mean of the two expectations. An interval may hide several
    extremes, and an output may show no change by chance: the upper bound also adds the last change, its own and the
    mean over the outputs.
    """
    one, trend, missed = _growing(outputs, lambda f: f.diff(dim=1).abs())
    hidden = _hidden(outputs)
    high = one + hidden + trend + trend.mean(1, keepdim=True) + rounding
    return Estimated(one + (missed + hidden / 2) / 2, (one - rounding).clamp_min(0), high)


def _arc_length(outputs: Tensor, rounding: Tensor) -> Estimated:
    """Length of the polygon through the samples, which grows with every sample, ``(M, 1)``."""
    if outputs.shape[2] == 1:
        return _total_variation(outputs, rounding)
    one, trend, missed = _growing(outputs, lambda f: f.diff(dim=1).norm(dim=2, keepdim=True))
    return Estimated(one + missed, (one - rounding).clamp_min(0), one + 3 * trend + rounding)


def _growing(outputs: Tensor, terms: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """A sum over intervals, its trend, and what it still misses.

    The trend is what the last doubling added, or half of what the one before did where that is more, since one may add
    nothing by chance. What is missed supposes that the next ones add ever less, at the rate all outputs together show.
    """
    one, two, four = (terms(outputs[:, ::stride]).sum(1) for stride in (1, 2, 4))
    last, before = one - two, two - four
    ratio = (last.sum(1) / before.sum(1).clamp_min(torch.finfo(torch.float64).tiny)).clamp(0.25, 0.5).unsqueeze(1)
    trend = torch.maximum(last, before / 2)
    return one, trend, trend * ratio / (1 - ratio)


def _hidden(outputs: Tensor) -> Tensor:
    """Twice the height at which the lines through the samples beside every interval meet, added up, ``(M, C)``."""
    step = outputs.diff(dim=1)
    before, here, after = step[:, :-2], step[:, 1:-1], step[:, 2:]
    turns = ((before > 0) & (after < 0)) | ((before < 0) & (after > 0))
    rise, fall, difference = before.abs(), after.abs(), here * before.sign()
    meeting = ((difference + fall) / torch.where(turns, rise + fall, 1.0)).clamp(0, 1)
    height = (rise * meeting - difference.clamp_min(0)).clamp_min(0)
    return 2 * torch.where(turns, height, 0.0).sum(1)


def _less(total: Estimated, direct: Tensor, rounding: Tensor) -> Estimated:
    value, low, high = ((part - direct).clamp_min(0) for part in (total.value, total.low - rounding, total.high))
    return Estimated(value, low, high + rounding)


def estimated_flips(counts: Tensor) -> Estimated:
    """Flips of every segment from those seen on grids of which each is twice as fine as the one before, ``(M,)``.

    Missed flips come in pairs, a unit there and back, so that of ``missed`` expected ones the standard deviation is
    ``sqrt(2 missed)``. What is missed is judged by the last three doublings, since a single one may find nothing by
    chance.

    Args:
        counts: Coarsest first, ``(grids, M)``; at least four.
    """
    seen = counts.double()
    last, before, earlier = (seen[-k] - seen[-k - 1] for k in (1, 2, 3))
    trend = torch.maximum(torch.maximum(last, before / 2), earlier / 4)
    return Estimated(extrapolated_flips(counts), seen[-1], seen[-1] + 2 * trend + 2 * (2 * trend + 1).sqrt())


def extrapolated_flips(counts: Tensor) -> Tensor:
    """The count on the finest grid and what it misses, ``(M,)``; the count itself where it is below :data:`FEW`.

    Args:
        counts: Coarsest first, ``(grids, M)``; at least three.
    """
    seen = counts.double()
    last, before = seen[-1] - seen[-2], seen[-2] - seen[-3]
    ratio = ((last + _THIRD) / (before + _WEIGHT)).clamp(0.25, 0.5)
    return seen[-1] + torch.where(seen[-1] < FEW, 0.0, last * ratio / (1 - ratio))
