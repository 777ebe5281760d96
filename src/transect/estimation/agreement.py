"""When a segment is sampled finely enough."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transect.estimation.extrapolation import deviation_error, extrapolated_flips, rounding_of_deviation
from transect.estimation.samples import Samples

IN_A_ROW = 2  # grids that must agree: two can miss the same spike
_GRAIN = 4.0  # flips that may come or go: two units that turn back, which no count of a few flips can settle
_WITHOUT_COUNT, _WITH_COUNT = 1025, 129  # samples of a segment, at most, where the caller does not say
_CHEAP = 100  # ... or one for so many flips: with more, an exact trace is the better buy
_MOST = (1 << 20) + 1  # where flips that rounding makes come with every sample there would be no end


@dataclass(frozen=True)
class Tolerance:
    """What is asked of an estimate.

    Attributes:
        rtol: Relative error of the flips, and of the deviations relative to the segment's largest.
        atol: Absolute error of the mean deviations, in units of the outputs.
        max_samples: Samples of a segment, at most; None for a limit that goes with the flips.
        eps: Unit roundoff of the dtype of the outputs.
    """

    rtol: float
    atol: float
    max_samples: int | None
    eps: float

    def judged(self, samples: Samples, strides: tuple[int, ...]) -> Samples:
        """The samples with their agreements noted down, for the grids of every stride, coarsest first."""
        agreed = samples.agreed
        for stride in strides:
            agrees = self._deviations_agree(samples, stride) & self._flips_agree(samples, stride)
            agreed = torch.where(agrees, agreed + 1, 0)
        return replace(samples, agreed=agreed)

    def may_double(self, samples: Samples) -> Tensor:
        """Whether one more doubling stays within the limit, ``(M,)``."""
        next_samples = 2 * samples.intervals + 1
        if self.max_samples is not None:
            return torch.full_like(samples.agreed, next_samples <= self.max_samples, dtype=torch.bool)
        if not samples.records:
            return torch.full_like(samples.agreed, next_samples <= _WITHOUT_COUNT, dtype=torch.bool)
        return next_samples <= (samples.counts[-1].sum(1) / _CHEAP).clamp(_WITH_COUNT, _MOST)

    def _deviations_agree(self, samples: Samples, stride: int) -> Tensor:
        """Every output's stated error is small beside the largest deviation, or is rounding."""
        value, error = deviation_error(samples.outputs, stride)
        rounding = rounding_of_deviation(samples.outputs, self.eps)
        return (error <= self.rtol * value.amax(1, keepdim=True) + self.atol + rounding).all(1)

    def _flips_agree(self, samples: Samples, stride: int) -> Tensor:
        """The last doubling changed the estimate by at most twice what is asked: it halves what is missed."""
        counts = samples.counts.sum(2)
        counts = counts[: len(counts) - stride.bit_length() + 1]
        now, before = extrapolated_flips(counts), extrapolated_flips(counts[:-1])
        return (now - before).abs() <= 2 * self.rtol * now + _GRAIN
