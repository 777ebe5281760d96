"""Every trace is compared with the model itself, at random points of the path, singly and in a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transect.errors import VerificationError
from transect.measures import Ends
from transect.network import Network
from transect.regions.run import Run
from transect.tracing.segments import Pack

# Largest difference allowed, relative to the largest output seen...
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-3}
# ... or in standard deviations of what rounding does inside the model, where outputs are differences of large values.
_DEVIATIONS = 64.0
_POINTS_A_PACK = 8


@dataclass(frozen=True)
class Verification:
    """How far a trace and the exported model differ at random points.

    Attributes:
        points: Number of points compared.
        error: Largest absolute difference of an output.
        scale: Largest absolute output seen at these points and at the anchors.
        deviation: Largest distance of these outputs from the affine interpolation of their segment's ends.
    """

    points: int = 0
    error: float = 0.0
    scale: float = 0.0
    deviation: float = 0.0

    @property
    def relative_error(self) -> float:
        """Error relative to the largest output."""
        return self.error / self.scale if self.scale else 0.0

    @property
    def relative_to_deviation(self) -> float:
        """Error relative to the largest deviation from the affine interpolation (infinite where there is none)."""
        return self.error / self.deviation if self.deviation else (0.0 if self.error == 0 else float("inf"))

    def joined(self, other: Verification) -> Verification:
        """The larger of two in every respect."""
        return Verification(
            self.points + other.points,
            max(self.error, other.error),
            max(self.scale, other.scale),
            max(self.deviation, other.deviation),
        )


class Verifier:
    """Collects the trace's outputs at random points while the runs go by, and compares at the end.

    Args:
        network: The captured network.
        pack: The segments being walked.
        outputs: Indices of the outputs kept, or None for all.
        seed: Seed of the random points.
    """

    def __init__(self, network: Network, pack: Pack, outputs: Tensor | None, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        segment = torch.randint(len(pack), (_POINTS_A_PACK,), generator=generator)
        t = torch.rand(_POINTS_A_PACK, generator=generator, dtype=torch.float64)
        order = torch.argsort(segment.double() + t)
        self._network, self._pack, self._outputs = network, pack, outputs
        self._segment, self._t = segment[order].to(network.device), t[order].to(network.device)
        self._waiting = list(zip(segment[order].tolist(), t[order].tolist(), strict=True))[::-1]
        self._found: list[Tensor] = []

    def see(self, run: Run) -> None:
        """Interpolate the trace at the points that lie in a run; runs come in order, and so do the points."""
        last = (int(run.segment[-1]), float(run.t[-1]))
        while self._waiting and self._waiting[-1] <= last:
            segment, t = self._waiting.pop()
            rows = (run.segment == segment).nonzero().squeeze(1)
            knots = run.t[rows]
            right = int(torch.searchsorted(knots, t).clamp(1, len(knots) - 1))
            weight = (t - knots[right - 1]) / (knots[right] - knots[right - 1])
            low, high = run.outputs[rows[right - 1]].double(), run.outputs[rows[right]].double()
            self._found.append(torch.lerp(low, high, weight))

    def verdict(self, ends: Ends) -> Verification:
        """Compare with the exported model.

        Raises:
            VerificationError: They differ beyond the tolerance.
        """
        traced = torch.stack(self._found)
        x = self._pack.at(self._segment, self._t)
        batch = self._selected(self._network(x))
        single = self._selected(torch.cat([self._network(point) for point in x]))
        error = float(torch.maximum((traced - batch).abs(), (traced - single).abs()).max())
        straight = ends.straight(self._segment, self._t)
        scale = max(float(part.abs().max()) for part in (batch, ends.start, ends.end))
        found = Verification(len(traced), error, scale, float((single - straight).abs().max()))
        tolerance = TOLERANCE[self._network.dtype]
        if not error <= max(tolerance * scale, _DEVIATIONS * ends.deviation):
            raise VerificationError(
                f"The trace and the model differ by {error:.2e} where outputs reach {scale:.2e} (relative "
                f"{found.relative_error:.1e}, tolerance {tolerance:.0e}), and rounding inside the model accounts for "
                f"{ends.deviation:.1e} (standard deviation): the numbers must not be used. "
                "If the model is deterministic and treats each sample on its own, please report it."
            )
        return found

    def _selected(self, outputs: Tensor) -> Tensor:
        outputs = outputs.double()
        return outputs if self._outputs is None else outputs[:, self._outputs]
