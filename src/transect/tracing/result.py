"""What a trace returns: thin methods over the segments and the measures."""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transect.errors import InvalidInput, RoundingWarning, check_one_of
from transect.measures import BY_NAME
from transect.measures.base import Reduced
from transect.measures.methods import PathMeasures
from transect.networks.network import Network
from transect.paths import Path
from transect.patterns import Pattern, Region
from transect.tracing.segment import Segment

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


_SURE = 10.0  # a measure below this many times its rounding bound is not to be trusted in its first digit
_LARGE = 1e-2  # a measure of exactly 0 whose rounding bound is more than this of what the outputs vary says nothing


@dataclass(frozen=True)
class Doubtful:
    """A place where rounding cannot decide what happens.

    Attributes:
        segment: Segment of the path.
        t: Knot at its left.
        operation: Name of the bending operation.
        unit: Flat index of the unit.
        reason: What could not be decided.
    """

    segment: int
    t: float
    operation: str
    unit: int
    reason: str

    def within(self, rows: slice) -> Doubtful:
        """The same place, its segment counted from the first of ``rows``."""
        return replace(self, segment=self.segment - rows.start)


@dataclass(frozen=True)
class Verification:
    """How far a trace and the model differ, at random points of the path or in the middle of every region.

    Attributes:
        points: Number of random points compared with the exported model, some of them singly as well.
        error: Largest absolute difference of an output, at them and in the regions.
        scale: Largest absolute output seen there and at the anchors.
        deviation: Largest distance of these outputs from the affine interpolation of their segment's ends.
        regions: Number of regions compared in their middle: all, where ``verify="all"`` asked for it.
        pieces: Number of units whose piece was compared there.
        within_rounding: How many of these lie on another piece than the trace says, though within their own rounding
            of the border between the two. All others are on the piece that the trace says.
        module_dtype: Dtype in which the user's own module was evaluated in the regions; None where there is none, as
            for a network from a file.
        module_error: Largest difference of an output between the trace and the user's module in these regions.
    """

    points: int = 0
    error: float = 0.0
    scale: float = 0.0
    deviation: float = 0.0
    regions: int = 0
    pieces: int = 0
    within_rounding: int = 0
    module_dtype: str | None = None
    module_error: float = 0.0

    @property
    def relative_error(self) -> float:
        """Error relative to the largest output."""
        return self.error / self.scale if self.scale else 0.0

    @property
    def relative_to_deviation(self) -> float:
        """Error relative to the largest deviation from the affine interpolation (infinite where there is none)."""
        return self.error / self.deviation if self.deviation else (0.0 if self.error == 0 else float("inf"))

    def joined(self, other: Verification) -> Verification:
        """Of two parts of a path: counts are added, of differences the larger is kept."""
        return Verification(
            self.points + other.points,
            max(self.error, other.error),
            max(self.scale, other.scale),
            max(self.deviation, other.deviation),
            self.regions + other.regions,
            self.pieces + other.pieces,
            self.within_rounding + other.within_rounding,
            self.module_dtype or other.module_dtype,
            max(self.module_error, other.module_error),
        )


@dataclass(frozen=True, eq=False)
class Trace(PathMeasures):
    """A network restricted to a path, exactly: ``S`` segments, ``C`` outputs. All tensors lie on the CPU.

    Attributes:
        path: The path.
        operations: Names of the bending operations.
        units: Units of each.
        outputs: Indices of the outputs traced.
        dtype: Dtype the network was evaluated in.
        start: Outputs at the segments' starts, ``(S, C)`` float64.
        end: Outputs at their ends.
        length: Lengths of the segments in the units of the input, ``(S,)`` float64.
        flips_by_operation: Flips of each operation on each segment, ``(S, operations)`` int64.
        anchor_crossings: Anchors at which the pattern changes (around the end for closed paths).
        reduced: Every measure by name, with its rounding bound.
        unresolved: Places where rounding cannot decide; empty in ordinary cases.
        verification: How far the trace and the model differ at random points of the path, or in every region (None if
            not asked for).
        kept: The segments, where ``keep="all"``.
    """

    path: Path
    operations: tuple[str, ...]
    units: tuple[int, ...]
    outputs: tuple[int, ...]
    dtype: torch.dtype
    start: Tensor
    end: Tensor
    length: Tensor
    flips_by_operation: Tensor
    anchor_crossings: int
    reduced: Mapping[str, Reduced]
    unresolved: tuple[Doubtful, ...]
    verification: Verification | None
    kept: tuple[Segment, ...] | None

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Knots, outputs, flips and start pattern of every segment.

        Raises:
            InvalidInput: The trace kept its measures only.
        """
        if self.kept is None:
            raise InvalidInput('trace.segments: this trace kept its measures only; trace with keep="all".')
        return self.kept

    def region(self, segment: int, index: int) -> PathRegion:
        """A region that the path visits: where, on which slope, with which pattern.

        Args:
            segment: Segment of the path.
            index: Number of the region on it, in order of t. Both count from the end where negative.

        Raises:
            InvalidInput: There is no such segment or region, or the trace kept its measures only.
        """
        count = len(self.segments)
        if not isinstance(segment, int) or not -count <= segment < count:
            raise InvalidInput(f"segment: expected a segment below {count}, got {segment!r}.")
        segment %= count
        found = self.segments[segment]
        pattern, index = found.pattern(index), index % (len(found.t) - 1)
        low, high = found.t[index : index + 2].tolist()
        left, right = (part[segment].cpu().double() for part in (self.path.starts, self.path.ends))
        return PathRegion(
            segment=segment,
            index=index,
            t=(low, high),
            start=found.outputs[index],
            end=found.outputs[index + 1],
            middle=torch.lerp(left, right, (low + high) / 2),
            length=(high - low) * float(self.length[segment]),
            pattern=pattern,
        )

    @property
    def crossings(self) -> Tensor:
        """Distinct interior knots of each segment at which the activation pattern changes, ``(S,)`` int64."""
        return self._counts("crossings")

    @property
    def regions(self) -> Tensor:
        """Linear regions visited on each segment: crossings + 1, ``(S,)`` int64."""
        return self.crossings + 1

    @property
    def flips(self) -> Tensor:
        """Pattern changes of single units on each segment, ``(S,)`` int64; at least the crossings."""
        return self.flips_by_operation.sum(1)

    @property
    def density(self) -> Tensor:
        """Crossings per unit of input length, ``(S,)`` float64."""
        return self.crossings / self.length

    @property
    def linear_crossings(self) -> Tensor:
        """Crossings at which the slope of some output changes beyond rounding, ``(S,)`` int64."""
        return self._counts("linear_crossings")

    @property
    def undecided_crossings(self) -> Tensor:
        """Crossings at which it changes by less than rounding, but not by zero, ``(S,)`` int64."""
        return self._counts("undecided_crossings")

    @property
    def path_crossings(self) -> int:
        """Crossings of the whole path, those at its anchors included."""
        return int(self.crossings.sum()) + self.anchor_crossings

    @property
    def slope_pairs(self) -> Tensor:
        """Neighbouring regions compared in the slope similarity, ``(S,)`` int64."""
        return self._counts("slope_pairs")

    @property
    def slope_pairs_left_out(self) -> Tensor:
        """Neighbouring regions of which one has slope zero: left out of the slope similarity, ``(S,)`` int64."""
        return self._counts("slope_pairs_left_out")

    def slope_similarity(self, weighted: bool = False) -> Tensor:
        """Mean cosine between the slopes of neighbouring regions, ``(S,)``; NaN on a segment without such a pair.

        Args:
            weighted: Weigh each pair by the length of its two regions.
        """
        return self.reduced["slope_similarity_weighted" if weighted else "slope_similarity"].value

    def rounding(self, measure: str) -> Tensor:
        """Rounding bound of a measure, of its shape.

        Raises:
            InvalidInput: There is no such measure.
        """
        check_one_of("measure", measure, self.reduced)
        return self.reduced[measure].rounding

    def plot(self, *, outputs: Sequence[int] | None = None, title: str | None = None) -> Figure:
        """Outputs along the path with their affine interpolations, and the crossings below (needs ``keep="all"``)."""
        from transect.plots import plot_trace

        return plot_trace(self, outputs=outputs, title=title)

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write everything to one safetensors file, atomically; :func:`transect.load_trace` reads it back bit for bit.

        Args:
            path: The file.

        Returns:
            ``path``.
        """
        from transect.tracing.files import save_trace

        return save_trace(self, path)

    def __repr__(self) -> str:
        return (
            f"Trace({len(self.length)} segments of length {float(self.length.sum()):.4g}, {int(self.regions.sum()):,} "
            f"regions, {int(self.flips.sum()):,} flips, {len(self.outputs)} outputs, {self.dtype})"
        )

    def _counts(self, name: str) -> Tensor:
        return self.reduced[name].value.to(torch.int64)

    def _measure(self, name: str) -> Tensor:
        check_one_of("name", name, self.reduced)
        found = self.reduced[name]
        unsure = (found.value.abs() > 0) & (found.value.abs() < _SURE * found.rounding)
        if bool(unsure.any()):
            warnings.warn(
                f"{name}: {int(unsure.sum())} of {unsure.numel()} values are below {_SURE:.0f} times their rounding "
                f"bound, and not to be told from zero; see trace.rounding({name!r}).",
                RoundingWarning,
                stacklevel=3,
            )
        scale = self._scale(BY_NAME[name].unit if name in BY_NAME else "").reshape(-1, *(1,) * (found.value.dim() - 1))
        hidden = (found.value == 0) & (found.rounding > _LARGE * scale)
        if bool(hidden.any()):
            warnings.warn(
                f"{name}: {int(hidden.sum())} of {hidden.numel()} values are exactly 0, with rounding bounds of over "
                f"{_LARGE:.0%} of what the outputs vary, or of their size where they do not: what is lost in rounding "
                f"may be as large. See trace.rounding({name!r}); trace in float64, or shift what cancels.",
                RoundingWarning,
                stacklevel=3,
            )
        return found.value

    def _scale(self, unit: str) -> Tensor:
        """How much the outputs vary on each segment, ``(S,)``, or how large they are where they are constant; in a
        unit that may have a length in it."""
        varied = self.reduced["total_variation"].value.amax(1)
        scale = torch.where(varied > 0, varied, torch.maximum(self.start.abs(), self.end.abs()).amax(1))
        return scale * {"output x length": self.length, "output / length": 1 / self.length}.get(unit, 1.0)
