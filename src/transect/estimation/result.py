"""What an estimate returns: the names and shapes of a trace, each with the interval it is stated to lie in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from transect.errors import InvalidInput, NotEstimated, check_one_of
from transect.estimation.extrapolation import FEW, Estimated
from transect.measures import BY_NAME
from transect.measures.methods import PathMeasures
from transect.paths import Path

_EXACT_ONLY = frozenset(
    "segments crossings regions density linear_crossings undecided_crossings path_crossings anchor_crossings "
    "slope_similarity slope_pairs slope_pairs_left_out unresolved verification rounding kept reduced plot save".split()
)


@dataclass(frozen=True, eq=False)
class Estimate(PathMeasures):
    """Measures of a function along a path, estimated from samples: ``S`` segments, ``C`` outputs, tensors on the CPU.

    Names and shapes are those of a :class:`~transect.Trace`. What samples do not show (knots, crossings, regions,
    slopes) raises :class:`~transect.errors.NotEstimated`.

    Attributes:
        path: The path.
        function: What was sampled: ``"captured network"``, ``"module"``, ``"module, outputs only"`` or ``"callable"``.
        operations: Names of the bending operations; none where they cannot be seen.
        units: Units of each.
        outputs: Indices of the outputs sampled.
        dtype: Dtype the function was evaluated in.
        rtol: Relative tolerance asked for.
        atol: Absolute tolerance of mean deviations asked for.
        start: Outputs at the segments' starts, ``(S, C)`` float64.
        end: Outputs at their ends.
        length: Lengths of the segments in the units of the input, ``(S,)`` float64.
        samples: Points at which each segment was evaluated, both ends included, ``(S,)`` int64.
        converged: Whether the last grids agreed; where not, ``max_samples`` was reached first, ``(S,)``.
        estimates: Every measure by name.
        counts: Flips seen on the finest grid, ``(S, operations)`` int64.
        uncounted: Why flips cannot be counted, or None.
    """

    path: Path
    function: str
    operations: tuple[str, ...]
    units: tuple[int, ...]
    outputs: tuple[int, ...]
    dtype: torch.dtype
    rtol: float
    atol: float
    start: Tensor
    end: Tensor
    length: Tensor
    samples: Tensor
    converged: Tensor
    estimates: Mapping[str, Estimated]
    counts: Tensor
    uncounted: str | None

    @property
    def flips(self) -> Tensor:
        """Pattern changes of single units on each segment, extrapolated, ``(S,)`` float64.

        Below 50 the lower bound: see :attr:`few_flips`.

        Raises:
            InvalidInput: They cannot be counted.
        """
        return self._flips().value

    @property
    def flips_lower(self) -> Tensor:
        """Flips seen on the finest grid, ``(S,)`` int64: without units that turn back between two samples."""
        return self._flips().low.to(torch.int64)

    @property
    def flips_interval(self) -> Tensor:
        """Lower bound of the flips and their stated upper end, ``(S, 2)`` float64."""
        return self._flips().interval

    @property
    def flips_by_operation(self) -> Tensor:
        """Flips seen of each operation, ``(S, operations)`` int64; as :attr:`flips_lower`, not extrapolated."""
        self._flips()
        return self.counts

    @property
    def few_flips(self) -> Tensor:
        """Segments with fewer than 50 flips, ``(S,)``: nothing is extrapolated there, and an exact trace is cheap."""
        return self._flips().low < FEW

    def interval(self, measure: str) -> Tensor:
        """Interval a measure is stated to lie in: its shape, and 2 in a last dimension.

        Summed over the segments of a path, the ends bound the sum (generously: errors partly cancel).

        Args:
            measure: ``"flips"``, or the name of a method such as ``"absolute_deviation"``.

        Raises:
            InvalidInput: There is no such estimate.
        """
        if measure == "flips":
            return self.flips_interval
        if measure == "mean_deviation":
            return self.estimates["absolute_deviation"].interval / self.length.reshape(-1, 1, 1)
        check_one_of("measure", measure, dict.fromkeys(("flips", "mean_deviation", *self.estimates)))
        return self.estimates[measure].interval

    def __getattr__(self, name: str) -> NoReturn:
        if name in _EXACT_ONLY:
            exact = f"transect.trace(network, path).{name} has it exactly"  # which no smooth function has
            raise NotEstimated(f"estimate.{name}: samples do not show it; {self.uncounted or exact}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        flips = "flips not counted" if self.uncounted else f"about {float(self.flips.sum()):,.0f} flips"
        left = int((~self.converged).sum())
        return (
            f"Estimate({len(self.length)} segments of length {float(self.length.sum()):.4g}, estimated from "
            f"{int(self.samples.sum()):,} samples of a {self.function}: {flips}, {len(self.outputs)} outputs, "
            f"{self.dtype}{f', {left} segments not converged' if left else ''})"
        )

    def _measure(self, name: str) -> Tensor:
        if name not in self.estimates and name in BY_NAME:
            raise NotEstimated(f"estimate.measure: samples do not show {name!r}; transect.trace has it exactly.")
        check_one_of("name", name, self.estimates)
        return self.estimates[name].value

    def _flips(self) -> Estimated:
        if self.uncounted is not None:
            raise InvalidInput(f"flips: {self.uncounted}")
        return self.estimates["flips"]
