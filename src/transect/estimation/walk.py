"""All segments sampled, each as finely as it needs, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transect.estimation.agreement import IN_A_ROW, Tolerance
from transect.estimation.extrapolation import Estimated, estimated_flips, estimated_measures
from transect.estimation.samples import FIRST, Sampler, Samples

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


def settle(sampler: Sampler, tolerance: Tolerance, most_bytes: int) -> Iterator[Settled]:
    """Double the grids of all segments until they agree; what is settled is handed out and forgotten.

    Segments are taken in packs whose samples fit ``most_bytes``. A pack that would outgrow them is cut, and one part
    brought to its end before the next goes on; a single segment goes on whatever it takes.
    """
    segments = torch.arange(len(sampler.lines.length), device=sampler.lines.length.device)
    size = sampler.sample_bytes * (FIRST + 1)
    for pack in segments.split(max(1, most_bytes // (_ROOM * size))):
        samples = tolerance.judged(sampler.first(pack), (2, 1))
        yield from _to_its_end(samples, sampler, tolerance, most_bytes)


def _to_its_end(samples: Samples, sampler: Sampler, tolerance: Tolerance, most_bytes: int) -> Iterator[Settled]:
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


def _settled(samples: Samples, sampler: Sampler, eps: float) -> Settled:
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
