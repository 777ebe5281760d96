"""What a slice returns."""

from __future__ import annotations

import operator
import os
import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.networks.network import Network
from transect.paths import Plane
from transect.patterns import Pattern
from transect.slicing.decision import Boundary
from transect.support.types import TensorLike
from transect.tracing.result import Verification

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Undecided:
    """A place where rounding cannot decide what happens.

    Attributes:
        xy: Plane coordinates.
        operation: Name of the bending operation.
        unit: Flat index of the unit.
        reason: What could not be decided.
    """

    xy: tuple[float, float]
    operation: str
    unit: int
    reason: str


@dataclass(frozen=True, eq=False)
class Polygons:
    """The regions: ``F`` convex polygons with ``H`` corners, on ``V`` vertices that neighbours share.

    Attributes:
        xy: Plane coordinates of the vertices, ``(V, 2)`` float64.
        error: Stated bound on the distance of each from where it truly is, in plane coordinates, ``(V,)`` float64.
        outputs: Outputs at the vertices, ``(V, outputs)`` float64.
        start: Where the corners of each polygon start, ``(F + 1,)``.
        corner: Vertex of every corner, counter-clockwise, one polygon after the other, ``(H,)``. A polygon has a corner
            wherever an edge of a neighbour ends, too.
        area: Areas in the units of the input, ``(F,)`` float64.
        slope_norm: Frobenius norm of the outputs' slope in the plane, per unit of the input's length, ``(F,)`` float64.
    """

    xy: Tensor
    error: Tensor
    outputs: Tensor
    start: Tensor
    corner: Tensor
    area: Tensor
    slope_norm: Tensor

    def __len__(self) -> int:
        return len(self.start) - 1

    def corners(self, index: int) -> Tensor:
        """Plane coordinates of the corners of a polygon, counter-clockwise, ``(K, 2)``.

        Raises:
            InvalidInput: There is no such polygon.
        """
        return self.xy[self.vertices(index)]

    def vertices(self, index: int) -> Tensor:
        """Vertices of a polygon, counter-clockwise, ``(K,)``.

        Raises:
            InvalidInput: There is no such polygon.
        """
        index = _place(index, len(self), "a region")
        return self.corner[int(self.start[index]) : int(self.start[index + 1])]

    @property
    def centres(self) -> Tensor:
        """Means of the corners of every polygon, which lie inside, ``(F, 2)``."""
        total = torch.segment_reduce(self.xy[self.corner], "sum", offsets=self.start, axis=0)
        return total / self.start.diff().unsqueeze(1)


@dataclass(frozen=True, eq=False)
class Edges:
    """Where the regions meet: ``E`` edges, with the units that bend at each.

    Attributes:
        start: Vertex at one end, ``(E,)``.
        end: Vertex at the other, ``(E,)``.
        left: Region on the left of the way from start to end, ``(E,)``.
        right: Region on the right, -1 on the border of the domain, ``(E,)``.
        first: Where the list of what bends at each edge starts, ``(E + 1,)``.
        operation: Index of the bending operation, one list after the other, ``(B,)``.
        unit: Flat index of the unit, ``(B,)``.
    """

    start: Tensor
    end: Tensor
    left: Tensor
    right: Tensor
    first: Tensor
    operation: Tensor
    unit: Tensor

    def __len__(self) -> int:
        return len(self.start)

    def bending(self, index: int) -> list[tuple[int, int]]:
        """Operation and unit of all that bends at an edge.

        Raises:
            InvalidInput: There is no such edge.
        """
        index = _place(index, len(self), "an edge")
        part = slice(int(self.first[index]), int(self.first[index + 1]))
        return list(zip(self.operation[part].tolist(), self.unit[part].tolist(), strict=True))

    @property
    def depth(self) -> Tensor:
        """The first operation that bends at each edge, -1 for none (the border of the domain), ``(E,)``."""
        found = torch.full((len(self),), -1, dtype=torch.int64)
        some = (self.first.diff() > 0).nonzero().squeeze(1)
        found[some] = (
            torch.segment_reduce(
                self.operation.double(), "min", offsets=torch.cat([self.first[:-1][some], self.first[-1:]])
            ).long()
            if len(some)
            else found[some]
        )
        return found


@dataclass(frozen=True, eq=False)
class Slice:
    """A network restricted to a domain of a plane, exactly: it falls into convex polygons. Tensors lie on the CPU.

    Attributes:
        plane: The plane, with the domain.
        operations: Names of the bending operations.
        units: Units of each.
        outputs: Indices of the outputs kept.
        dtype: Dtype the network was evaluated in.
        regions: Number of linear regions in the domain.
        borders: Number of edges between two of them.
        vertices: Number of points in which edges meet or end.
        area: Area of the domain in the units of the input: the sum over the regions.
        smallest: Area of the smallest region, and
        largest: of the largest.
        area_counts: Number of regions with between ``2**-(k + 1)`` and ``2**-k`` of the domain's area, ``(128,)``
            int64; the last one holds all smaller ones.
        border_length: Length of all borders between regions in the units of the input.
        border_length_by_operation: Length of those at which each operation bends, ``(operations,)`` float64. Borders at
            which several bend count for each.
        mean_slope: Mean over the domain of the Frobenius norm of the outputs' slope in the plane.
        largest_slope: Its largest value.
        class_areas: Area in which each output is the largest, ``(outputs,)`` float64; of a single output, where it is
            not positive and where it is, ``(2,)``.
        boundary: The decision boundary.
        deviation: On a triangle, the integral of ``|f - a|`` of every output, where a is affine and equal to f at the
            three corners, ``(outputs,)`` float64; None on other domains.
        deviation_rounding: A bound on its rounding error.
        deviation_norm: Between what the integral of the l2 norm of f - a over the outputs lies; None on other domains.
        unresolved: Places where rounding cannot decide; empty in ordinary cases.
        verification: How far the slice and the model differ (None if not asked for).
        kept: Polygons and edges, where ``keep="all"``.
    """

    plane: Plane
    operations: tuple[str, ...]
    units: tuple[int, ...]
    outputs: tuple[int, ...]
    dtype: torch.dtype
    regions: int
    borders: int
    vertices: int
    area: float
    smallest: float
    largest: float
    area_counts: Tensor
    border_length: float
    border_length_by_operation: Tensor
    mean_slope: float
    largest_slope: float
    class_areas: Tensor
    boundary: Boundary
    deviation: Tensor | None
    deviation_rounding: float
    deviation_norm: tuple[float, float] | None
    unresolved: tuple[Undecided, ...]
    verification: Verification | None
    kept: tuple[Polygons, Edges] | None

    @property
    def polygons(self) -> Polygons:
        """The regions.

        Raises:
            InvalidInput: The slice kept its measures only.
        """
        return self._kept("polygons")[0]

    @property
    def edges(self) -> Edges:
        """Where they meet, and what bends there.

        Raises:
            InvalidInput: The slice kept its measures only.
        """
        return self._kept("edges")[1]

    @property
    def density(self) -> float:
        """Regions per unit of area."""
        return self.regions / self.area

    @property
    def boundary_length(self) -> float:
        """Length of the decision boundary in the units of the input."""
        return float(self.boundary.length.sum())

    def pattern(self, network: Network, index: int) -> Pattern:
        """The activation pattern of a region, as the network has it at the mean of the polygon's corners.

        Args:
            network: The network that was sliced.
            index: Number of the region; from the end where negative.

        Raises:
            InvalidInput: There is no such region, or the slice kept its measures only.
        """
        if not isinstance(network, Network):
            raise InvalidInput(
                f"network: expected the captured network that was sliced, transect.capture(model, example), got "
                f"{type(network).__name__}."
            )
        corners = self.polygons.corners(index)
        return network.pattern(self.plane.at(corners.mean(0, keepdim=True))[0])

    def plot(
        self,
        *,
        colour: Literal["region", "slope", "output", "class", "operation", "area"] = "region",
        output: int | None = None,
        borders: Literal["depth", "plain"] | None = None,
        boundary: bool = True,
        window: tuple[tuple[float, float], tuple[float, float]] | None = None,
        images: bool | TensorLike | None = None,
        samples: TensorLike | None = None,
        labels: TensorLike | None = None,
        limits: tuple[float, float] | None = None,
        title: str | None = None,
        resolution: int = 1600,
    ) -> Figure:
        """The polygons as a picture (needs ``keep="all"``); see :func:`transect.plots.plot_slice`."""
        from transect.plots import plot_slice

        return plot_slice(
            self,
            colour=colour,
            output=output,
            borders=borders,
            boundary=boundary,
            window=window,
            images=images,
            samples=samples,
            labels=labels,
            limits=limits,
            title=title,
            resolution=resolution,
        )

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write everything to one safetensors file, atomically; :func:`transect.load_slice` reads it back bit for bit.

        Args:
            path: The file.

        Returns:
            ``path``.
        """
        from transect.slicing.files import save_slice

        return save_slice(self, path)

    def _kept(self, what: str) -> tuple[Polygons, Edges]:
        if self.kept is None:
            raise InvalidInput(f'slice.{what}: this slice kept its measures only; slice with keep="all".')
        return self.kept

    def __repr__(self) -> str:
        return (
            f"Slice({self.regions:,} regions on an area of {self.area:.4g}, {self.borders:,} borders, boundary of "
            f"length {self.boundary_length:.4g}, {len(self.outputs)} outputs, {self.dtype})"
        )


def _place(index: int, count: int, what: str) -> int:
    """A place from the start, of one that counts from the end where negative.

    Raises:
        InvalidInput: It is none.
    """
    try:
        place = operator.index(index)  # whole numbers of NumPy and PyTorch too
    except TypeError:
        place = count
    if not -count <= place < count:
        raise InvalidInput(f"index: expected {what}, a whole number below {count}, got {index!r}.")
    return place % count
