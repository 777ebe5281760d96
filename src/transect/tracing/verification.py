"""Every trace is compared with the model itself, at random points of each path, singly and in a batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from transect.errors import VerificationError
from transect.measures import Ends
from transect.network import Network
from transect.regions.run import Run
from transect.results import Verification
from transect.tracing.segments import Pack

# Largest difference allowed, relative to the largest output seen...
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-3}
# ... or in standard deviations of what rounding does inside the model, where outputs are differences of large values.
_DEVIATIONS = 64.0
_POINTS_A_PACK = 8
_POINTS_A_PATH = 2  # at least: no path is vouched for by another one


class Verifier:
    """Collects the trace's outputs at random points of every path while the runs go by, and compares at the end.

    Args:
        network: The captured network.
        pack: The segments being walked.
        outputs: Indices of the outputs kept, or None for all.
        ends: What is known of the segments.
        seed: Seed of the random points.
    """

    def __init__(self, network: Network, pack: Pack, outputs: Tensor | None, ends: Ends, seed: int) -> None:
        segment, t = _points(pack, torch.Generator().manual_seed(seed))
        self._network, self._pack, self._outputs, self._ends = network, pack, outputs, ends
        self._segment, self._t = segment.to(network.device), t.to(network.device)
        self._waiting = list(zip(segment.tolist(), t.tolist(), strict=True))[::-1]
        self._found: list[Tensor] = []

    def see(self, run: Run) -> None:
        """Interpolate the trace at the points that lie in a run; runs come in order, and so do the points."""
        last = (int(run.segment[-1]), float(run.t[-1]))
        while self._waiting and self._waiting[-1] <= last:
            segment, t = self._waiting.pop()
            low, high = torch.searchsorted(run.segment, torch.tensor([segment, segment + 1]).to(run.t.device)).tolist()
            knots, outputs = run.t[low:high], run.outputs[low:high]
            right = int(torch.searchsorted(knots, t).clamp(1, len(knots) - 1))
            weight = (t - knots[right - 1]) / (knots[right] - knots[right - 1])
            self._found.append(torch.lerp(outputs[right - 1].double(), outputs[right].double(), weight))

    def verdict(self) -> dict[int, Verification]:
        """Compare with the exported model; one verdict for each path that has segments in the pack, by its number.

        Raises:
            VerificationError: They differ beyond the tolerance.
        """
        traced = torch.stack(self._found)
        x, ends = self._pack.at(self._segment, self._t), self._ends
        model = selected(self._network(x), self._outputs)
        error = (traced - model).abs().amax(1)
        singly = torch.arange(0, len(x), -(-len(x) // _POINTS_A_PACK))
        single = selected(torch.cat([self._network(x[point]) for point in singly.tolist()]), self._outputs)
        error[singly] = torch.maximum(error[singly], (traced[singly] - single).abs().amax(1))
        bend = (model - ends.straight(self._segment, self._t)).abs().amax(1)
        anchors, found = by_path(self._pack, torch.arange(len(self._pack))), {}
        for number, part in by_path(self._pack, self._segment).items():
            scale = float(torch.maximum(model[part].abs().max(), ends.scale[anchors[number]].max()))
            found[number] = Verification(len(part), float(error[part].max()), scale, float(bend[part].max()))
            check_error(found[number].error, scale, TOLERANCE[self._network.dtype], ends.deviation)
        return found


def joined(parts: Iterable[Mapping[int, Verification]]) -> dict[int, Verification]:
    """The verifications of every path, by its number, from those of its parts."""
    found: dict[int, Verification] = {}
    for part in parts:
        for number, one in part.items():
            found[number] = found.get(number, Verification()).joined(one)
    return found


def _points(pack: Pack, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random segments and positions on them in order, some on every path."""
    parts = by_path(pack, torch.arange(len(pack))).values()
    a_path = max(_POINTS_A_PATH, -(-_POINTS_A_PACK // len(parts)))
    segment = torch.cat([part[torch.randint(len(part), (a_path,), generator=generator)] for part in parts])
    t = torch.rand(len(segment), generator=generator, dtype=torch.float64)
    order = torch.argsort(segment.double() + t)
    return segment[order], t[order]


def by_path(pack: Pack, segment: Tensor) -> dict[int, Tensor]:
    """Which entries of a list of segments lie on each path: their places in the list, by the number of the path."""
    number = torch.tensor(pack.path_of)[segment.cpu()]
    return {int(one): (number == one).nonzero().squeeze(1) for one in number.unique()}


def selected(outputs: Tensor, chosen: Tensor | None) -> Tensor:
    """The outputs that are traced, in float64."""
    outputs = outputs.double()
    return outputs if chosen is None else outputs[:, chosen]


def check_error(error: float, scale: float, tolerance: float, deviation: float, what: str = "the model") -> None:
    """Hold that a trace is right.

    Args:
        error: Largest difference of an output.
        scale: Largest output.
        tolerance: Differences of so many times the largest output are rounding.
        deviation: Standard deviation of what rounding does to an output; that many times it is rounding, too.
        what: What the trace was compared with.

    Raises:
        VerificationError: The difference is neither small beside the outputs nor explained by rounding.
    """
    if not error <= max(tolerance * scale, _DEVIATIONS * deviation):
        raise VerificationError(
            f"The trace and {what} differ by {error:.2e} where outputs reach {scale:.2e} (relative "
            f"{error / scale if scale else math.inf:.1e}, tolerance {tolerance:.0e}), and rounding inside the model "
            f"accounts for {deviation:.1e} (standard deviation): the numbers must not be used. "
            "If the model is deterministic and treats each sample on its own, please report it."
        )
