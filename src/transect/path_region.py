"""``PathRegion``: a linear region as a path passes through it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from transect.network import Network
from transect.patterns import Pattern, Region


@dataclass(frozen=True, eq=False)
class PathRegion:
    """The part of a segment that lies in one linear region. Tensors lie on the CPU.

    Attributes:
        segment: Segment of the path.
        index: Number of the region on the segment: it lies between knots ``index`` and ``index + 1``.
        t: Its ends on the segment.
        start: Outputs at the first, ``(C,)``, of the outputs traced.
        end: Outputs at the second.
        middle: The input in the middle of it, ``(*input_shape)`` float64.
        length: Length of it in the units of the input.
        pattern: The activation pattern, rebuilt from the segment's first and its flips.
    """

    segment: int
    index: int
    t: tuple[float, float]
    start: Tensor
    end: Tensor
    middle: Tensor
    length: float
    pattern: Pattern

    @property
    def slope(self) -> Tensor:
        """Change of the outputs per unit of t, ``(C,)`` float64.

        A difference of outputs over a difference of positions: in a very narrow region rounding shows, and
        ``of(network).slope(direction)`` is the better number.
        """
        return (self.end.double() - self.start.double()) / (self.t[1] - self.t[0])

    @property
    def slope_per_length(self) -> Tensor:
        """Change of the outputs per unit of the input's length, ``(C,)`` float64."""
        return (self.end.double() - self.start.double()) / self.length

    def of(self, network: Network) -> Region:
        """The whole region in the input space of the network traced, with its Jacobian and the inequalities around it.

        Raises:
            InvalidInput: The network is another one.
        """
        return network.region(self.pattern)

    def __repr__(self) -> str:
        low, high = self.t
        return f"PathRegion({self.index} of segment {self.segment}, t from {low:.6g} to {high:.6g})"
