"""Segments sampled on nested, equally spaced grids, each as finely as it needs, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.estimation.extrapolation import (
    Estimated,
    deviation_error,
    estimated_flips,
    estimated_measures,
    extrapolated_flips,
    rounding_of_deviation,
)
from transect.estimation.functions import Observed, SampledFunction, changes, record_bytes
from transect.paths import Path
from transect.rules import Bend

FIRST = 16  # intervals of the first grid


@dataclass(frozen=True)
class Lines:
    """All segments of all paths.

    Attributes:
        start: Their starts, ``(S, *input_shape)``.
        end: Their ends.
        length: Their lengths, ``(S,)`` float64.
    """

    start: Tensor
    end: Tensor
    length: Tensor

    @classmethod
    def of(cls, paths: Sequence[Path], device: torch.device) -> Lines:
        """The segments of some paths, one path after the other."""
        return cls(*(torch.cat([getattr(path, name) for path in paths]).to(device)
                     for name in ("starts", "ends", "lengths")))  # fmt: skip

    def at(self, segment: Tensor, t: Tensor, dtype: torch.dtype) -> Tensor:
        """Points, worked out in float64 and given in ``dtype``; exact at both ends."""
        weight = t.reshape(-1, *(1,) * (self.start.dim() - 1))
        return torch.lerp(self.start[segment].double(), self.end[segment].double(), weight).to(dtype)


@dataclass(frozen=True)
class Sampler:
    """Evaluates a function at points of segments, in batches of bounded size.

    Attributes:
        function: The function.
        lines: The segments.
        rows: Points evaluated together.
        chosen: Indices of the outputs wanted, or None for all.
    """

    function: SampledFunction
    lines: Lines
    rows: int
    chosen: Tensor | None

    @property
    def sample_bytes(self) -> int:
        """What is held of each sample: its outputs, and the pieces of all units."""
        outputs = self.function.outputs if self.chosen is None else len(self.chosen)
        return 8 * outputs + sum(map(record_bytes, self.function.bends, self.function.units))

    def first(self, segments: Tensor) -> GridSamples:
        """Samples of segments on the first grid."""
        t = torch.linspace(0, 1, FIRST + 1, dtype=torch.float64, device=segments.device)
        ends, inner = self._see(segments, t[[0, -1]], ends=True), self._see(segments, t[1:-1], ends=False)
        outputs = torch.cat([ends.outputs[:, :1], inner.outputs, ends.outputs[:, 1:]], 1)
        records = tuple(
            torch.cat([outer[:, :1], middle, outer[:, 1:]], 1)
            for outer, middle in zip(ends.records, inner.records, strict=True)
        )
        none = torch.empty((0, len(segments), len(self.function.bends)), dtype=torch.int64, device=segments.device)
        agreed = torch.zeros(len(segments), dtype=torch.int64, device=segments.device)
        samples = GridSamples(segments, outputs, records, ends.undecided, none, agreed)
        for stride in (FIRST >> level for level in range(FIRST.bit_length())):  # grids of 1, 2, 4, 8, 16 intervals
            samples = self.counted(samples, stride)
        return samples

    def doubled(self, samples: GridSamples) -> GridSamples:
        """The same segments with a sample more in every interval: only the new ones are evaluated."""
        intervals = samples.intervals
        t = (torch.arange(intervals, dtype=torch.float64, device=samples.segments.device) + 0.5) / intervals
        new = self._see(samples.segments, t, ends=False)
        outputs, added = _interleaved(samples.outputs, new.outputs), list(new.records)
        del new  # each of its records goes when it is read: together they can be the most that is held
        records = tuple(_interleaved(old, added.pop(0)) for old in samples.records)
        return self.counted(replace(samples, outputs=outputs, records=records), 1)

    def counted(self, samples: GridSamples, stride: int) -> GridSamples:
        """The samples with the flips between every ``stride``-th of them noted down."""
        counts = [
            _flips(bend, records[:, ::stride], undecided)
            for bend, records, undecided in zip(self.function.bends, samples.records, samples.undecided, strict=True)
        ]
        found = torch.stack(counts, 1) if counts else samples.agreed.new_zeros((len(samples.segments), 0))
        return replace(samples, counts=torch.cat([samples.counts, found.unsqueeze(0)]))

    def _see(self, segments: Tensor, t: Tensor, ends: bool) -> Observed:
        """What is seen at the same positions of every segment, ``(segments, len(t), ...)`` each."""
        segment, position = segments.repeat_interleave(len(t)), t.repeat(len(segments))
        parts = []
        for row in range(0, len(segment), self.rows):
            part = slice(row, row + self.rows)
            seen = self.function.see(self.lines.at(segment[part], position[part], self.function.takes), ends)
            parts.append(replace(seen, outputs=self._usable(seen.outputs, segment[part], position[part])))
        shape = (len(segments), len(t), -1)
        return Observed(
            torch.cat([seen.outputs for seen in parts]).reshape(shape),
            tuple(torch.cat(same).reshape(shape) for same in zip(*(seen.records for seen in parts), strict=True)),
            tuple(torch.cat(same).reshape(shape) for same in zip(*(seen.undecided for seen in parts), strict=True)),
        )

    def _usable(self, outputs: Tensor, segment: Tensor, t: Tensor) -> Tensor:
        chosen = outputs if self.chosen is None else outputs[:, self.chosen]
        finite = chosen.isfinite().all(1)
        if not bool(finite.all()):
            bad = int((~finite).nonzero()[0, 0])
            raise InvalidInput(
                f"model: expected finite outputs, but they are NaN or infinite at t = {float(t[bad]):g} of segment "
                f"{int(segment[bad])}; look for very large weights, divisions by zero, or a path outside its domain."
            )
        return chosen


@dataclass(frozen=True)
class GridSamples:
    """What is known of some segments, all sampled at the same positions.

    Attributes:
        segments: Which they are, ``(M,)``.
        outputs: Outputs at the samples, in order of t, ``(M, n + 1, C)`` float64.
        records: Pieces at the samples, ``(M, n + 1, W)`` for each bending operation.
        undecided: Units between two pieces at both ends, ``(M, 2, W)`` each.
        counts: Flips seen on the grids so far, coarsest first, ``(grids, M, operations)`` int64.
        agreed: Grids in a row, up to the last, that agree with those before, ``(M,)``.
    """

    segments: Tensor
    outputs: Tensor
    records: tuple[Tensor, ...]
    undecided: tuple[Tensor, ...]
    counts: Tensor
    agreed: Tensor

    @property
    def intervals(self) -> int:
        """Intervals of the grid: samples less one."""
        return self.outputs.shape[1] - 1

    def __len__(self) -> int:
        return len(self.segments)

    def part(self, which: Tensor | slice) -> GridSamples:
        """Those of the segments that a mask or a slice chooses; itself where it chooses all."""
        if len(self.segments[which]) == len(self):
            return self
        return GridSamples(
            self.segments[which],
            self.outputs[which],
            tuple(one[which] for one in self.records),
            tuple(one[which] for one in self.undecided),
            self.counts[:, which],
            self.agreed[which],
        )


def _interleaved(old: Tensor, new: Tensor) -> Tensor:
    """Samples 0, new 0, 1, new 1, ..., n."""
    both = old.new_empty((len(old), old.shape[1] + new.shape[1], *old.shape[2:]))
    both[:, ::2], both[:, 1::2] = old, new
    return both


def _flips(bend: Bend, records: Tensor, undecided: Tensor) -> Tensor:
    """Net changes of pieces between neighbouring samples, added up over each segment, ``(M,)``."""
    if records.shape[1] == 2:
        return changes(bend, records[:, 0], records[:, 1], undecided[:, 0] | undecided[:, 1])
    first = changes(bend, records[:, 0], records[:, 1], undecided[:, 0])
    last = changes(bend, records[:, -2], records[:, -1], undecided[:, 1])
    return first + changes(bend, records[:, 1:-2], records[:, 2:-1]).sum(1) + last


IN_A_ROW = 2  # grids that must agree: two can miss the same spike
_GRAIN = 4.0  # flips that may come or go: two units that turn back, which no count of a few flips can settle
_WITHOUT_COUNT, _WITH_COUNT = 1025, 129  # samples of a segment, at most, where the caller does not say
_CHEAP = 100  # ... or one for so many flips: with more, an exact trace is the better buy
_MOST = (1 << 20) + 1  # where flips that rounding makes come with every sample there would be no end


@dataclass(frozen=True)
class Accuracy:
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

    def judged(self, samples: GridSamples, strides: tuple[int, ...]) -> GridSamples:
        """The samples with their agreements noted down, for the grids of every stride, coarsest first."""
        agreed = samples.agreed
        for stride in strides:
            agrees = self._deviations_agree(samples, stride) & self._flips_agree(samples, stride)
            agreed = torch.where(agrees, agreed + 1, 0)
        return replace(samples, agreed=agreed)

    def may_double(self, samples: GridSamples) -> Tensor:
        """Whether one more doubling stays within the limit, ``(M,)``."""
        next_samples = 2 * samples.intervals + 1
        if self.max_samples is not None:
            return torch.full_like(samples.agreed, next_samples <= self.max_samples, dtype=torch.bool)
        if not samples.records:
            return torch.full_like(samples.agreed, next_samples <= _WITHOUT_COUNT, dtype=torch.bool)
        return next_samples <= (samples.counts[-1].sum(1) / _CHEAP).clamp(_WITH_COUNT, _MOST)

    def _deviations_agree(self, samples: GridSamples, stride: int) -> Tensor:
        """Every output's stated error is small beside the largest deviation, or is rounding."""
        value, error = deviation_error(samples.outputs, stride)
        rounding = rounding_of_deviation(samples.outputs, self.eps)
        return (error <= self.rtol * value.amax(1, keepdim=True) + self.atol + rounding).all(1)

    def _flips_agree(self, samples: GridSamples, stride: int) -> Tensor:
        """The last doubling changed the estimate by at most twice what is asked: it halves what is missed."""
        counts = samples.counts.sum(2)
        counts = counts[: len(counts) - stride.bit_length() + 1]
        now, before = extrapolated_flips(counts), extrapolated_flips(counts[:-1])
        return (now - before).abs() <= 2 * self.rtol * now + _GRAIN


_ROOM = 4  # a pack starts with a fourth of what it may hold: two doublings before it is cut


@dataclass(frozen=True)
class Settled:
    """What is left of some segments: one entry each.

    Attributes:
        segments: Which they are, ``(M,)``.
        start: Outputs at their starts, ``(M, C)``.
        end: Outputs at their ends.
        samples: Samples of each.
        converged: Whether the estimates agreed.
        counts: Flips seen on the finest grid, ``(M, operations)``.
        estimates: The flips, where they can be counted, and every measure, by name.
    """

    segments: Tensor
    start: Tensor
    end: Tensor
    samples: Tensor
    converged: Tensor
    counts: Tensor
    estimates: dict[str, Estimated]


def settle(sampler: Sampler, tolerance: Accuracy, most_bytes: int) -> Iterator[Settled]:
    """Double the grids of all segments until they agree; what is settled is handed out and forgotten.

    Segments are taken in packs whose samples fit ``most_bytes``. A pack that would outgrow them is cut, and one part
    brought to its end before the next goes on; a single segment goes on whatever it takes.
    """
    segments = torch.arange(len(sampler.lines.length), device=sampler.lines.length.device)
    size = sampler.sample_bytes * (FIRST + 1)
    for pack in segments.split(max(1, most_bytes // (_ROOM * size))):
        samples = tolerance.judged(sampler.first(pack), (2, 1))
        yield from _to_its_end(samples, sampler, tolerance, most_bytes)


def _to_its_end(samples: GridSamples, sampler: Sampler, tolerance: Accuracy, most_bytes: int) -> Iterator[Settled]:
    waiting = [samples]
    del samples  # here and below, what has been doubled is not held any longer
    while waiting:
        coarse = waiting.pop()
        goes_on = (coarse.agreed < IN_A_ROW) & tolerance.may_double(coarse)
        if not bool(goes_on.all()):
            yield _settled(coarse.part(~goes_on), sampler, tolerance.eps)
        if bool(goes_on.any()):
            coarse = coarse.part(goes_on)
            together = max(1, most_bytes // (sampler.sample_bytes * (2 * coarse.intervals + 1)))
            if together < len(coarse):
                waiting.append(coarse.part(slice(together, None)))
            waiting.append(tolerance.judged(sampler.doubled(coarse.part(slice(together))), (1,)))
        del coarse


def _settled(samples: GridSamples, sampler: Sampler, eps: float) -> Settled:
    estimates = estimated_measures(samples.outputs, sampler.lines.length[samples.segments], eps)
    if sampler.function.uncounted is None:
        estimates["flips"] = estimated_flips(samples.counts.sum(2))
    number = torch.full_like(samples.segments, samples.intervals + 1)
    start, end = samples.outputs[:, 0], samples.outputs[:, -1]
    return Settled(samples.segments, start, end, number, samples.agreed >= IN_A_ROW, samples.counts[-1], estimates)


def joined(parts: Sequence[Settled]) -> Settled:
    """All segments in their order, on the CPU."""
    order = torch.argsort(torch.cat([part.segments for part in parts]))

    def together(tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(tensors))[order].cpu()

    def estimated(name: str) -> Estimated:
        found = [part.estimates[name] for part in parts]
        return Estimated(*(together([getattr(one, end) for one in found]) for end in ("value", "low", "high")))

    return Settled(
        segments=together([part.segments for part in parts]),
        start=together([part.start for part in parts]),
        end=together([part.end for part in parts]),
        samples=together([part.samples for part in parts]),
        converged=together([part.converged for part in parts]),
        counts=together([part.counts for part in parts]),
        estimates={name: estimated(name) for name in parts[0].estimates},
    )
