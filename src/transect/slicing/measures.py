"""Measures of a slice, worked out while its patches go by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from transect.engine.plane.mesh import OUTSIDE, Floats, Ints, distinct
from transect.slicing.patches import Frame, Patch, bending_at

AREA_BINS = 128  # of sizes of regions, each half the one before; the last one holds all that is smaller
_TOGETHER = 1 << 20  # numbers of the outputs looked at together
_SURE = 16.0  # multiples of eps max|f|, or of the standard deviation of rounding, by which an output is known


@dataclass
class Counts:
    """How many polygons, edges and vertices there are.

    Attributes:
        regions: Polygons.
        sides: Edges on the border of the domain.
        corners: Corners of all polygons: every inner edge has two.
    """

    regions: int = 0
    sides: int = 0
    corners: int = 0

    def update(self, patch: Patch) -> None:
        """Take a patch into account."""
        self.regions += len(patch)
        self.corners += len(patch.mesh.corner)
        self.sides += int((patch.mesh.seam == OUTSIDE).sum())

    @property
    def borders(self) -> int:
        """Edges between two regions."""
        return (self.corners - self.sides) // 2

    @property
    def vertices(self) -> int:
        """Vertices, by Euler's formula: a slice is a disc."""
        return self.borders + self.sides - self.regions + 1


class Areas:
    """Sizes of the regions."""

    def __init__(self, total: float) -> None:
        self._total = total
        self.sum, self.least, self.most = 0.0, np.inf, 0.0
        self.counts: Ints = np.zeros(AREA_BINS, np.int64)

    def update(self, patch: Patch) -> None:
        """Take a patch into account."""
        areas = patch.areas
        self.sum += float(areas.sum())
        self.least, self.most = min(self.least, float(areas.min())), max(self.most, float(areas.max()))
        with np.errstate(divide="ignore"):
            halvings = np.floor(-np.log2(np.maximum(areas, 0) / self._total))
        self.counts += np.bincount(np.clip(halvings, 0, AREA_BINS - 1).astype(int), minlength=AREA_BINS)


class Borders:
    """Length of the borders between regions, of all and of those at which each operation bends."""

    def __init__(self, operations: int) -> None:
        self.total = 0.0
        self.by_operation: Floats = np.zeros(operations)

    def update(self, patch: Patch) -> None:
        """Take a patch into account."""
        inner = np.flatnonzero(patch.mesh.seam != OUTSIDE)
        lengths = patch.lengths[inner] / 2  # every inner edge is seen from both sides
        self.total += float(lengths.sum())
        owner, operation, _ = bending_at(patch, inner)
        operations = max(1, len(self.by_operation))
        key = distinct(owner * operations + operation)
        self.by_operation += np.bincount(
            key % operations, lengths[key // operations], minlength=len(self.by_operation)
        )[: len(self.by_operation)]


class Slopes:
    """Norms of the slopes in the plane: the Jacobian restricted to it, Frobenius norm."""

    def __init__(self) -> None:
        self.mean_times_area = 0.0
        self.most = 0.0

    def update(self, patch: Patch) -> None:
        """Take a patch into account."""
        norms = slope_norms(patch)
        self.mean_times_area += float((norms * patch.areas).sum())
        self.most = max(self.most, float(norms[patch.areas > 0].max(initial=0.0)))


def slope_norms(patch: Patch) -> Floats:
    """Frobenius norm of every polygon's slope, ``(F,)``."""
    squares: Floats = np.einsum("fcd,fcd->f", patch.jacobians, patch.jacobians)
    return np.sqrt(squares)


@dataclass
class Deviation:
    """Integral of the distance between the function and the affine one through the corners of a triangle.

    Attributes:
        frame: How coordinates are measured; the domain has three corners.
        corners: Outputs at these, ``(3, outputs)``.
        rounding: How far rounding may move one output.
        absolute: The integral of ``|f - a|`` of each output, ``(outputs,)``.
        norm_low: The integral of its l2 norm over the outputs is at least this,
        norm_high: and at most this.
    """

    frame: Frame
    corners: Floats
    rounding: float
    absolute: Floats = field(init=False)
    norm_low: float = 0.0
    norm_high: float = 0.0

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.absolute = np.zeros(self.corners.shape[1])

    def update(self, patch: Patch) -> None:
        """Take a patch into account."""
        mesh = patch.mesh
        distance = patch.values - self._affine(mesh.xy)
        apex = mesh.start[:-1][mesh.polygon]
        fan = np.flatnonzero((mesh.following != apex) & (np.arange(len(apex)) != apex))
        triangle = np.stack([apex[fan], fan, mesh.following[fan]], 1)
        at = mesh.xy[mesh.corner[triangle]]
        one, other = at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]
        areas = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2 * self.frame.area_of_unit
        step = max(1, _TOGETHER // (3 * distance.shape[1]))
        for first in range(0, len(fan), step):
            part = slice(first, first + step)
            values = distance[mesh.corner[triangle[part]]]
            self.absolute += (integrals_of_absolute(values) * areas[part, None]).sum(0)
            low, high = _bounds_of_norm(values)
            self.norm_low += float((low * areas[part]).sum())
            self.norm_high += float((high * areas[part]).sum())

    def _affine(self, xy: Floats) -> Floats:
        corners = self.frame.corners
        matrix = np.concatenate([corners.T, np.ones((1, 3))])
        weights = np.linalg.solve(matrix, np.concatenate([xy.T, np.ones((1, len(xy)))]))
        return weights.T @ self.corners


def integrals_of_absolute(values: Floats) -> Floats:
    """Mean of ``|d|`` over a triangle, d affine with these values at its corners: ``(n, 3, C)`` to ``(n, C)``.

    With one corner a of the other sign than b and c, the part on its side is a triangle as well, of a / (a - b) times
    a / (a - c) of the area, with mean a / 3.
    """
    mean = values.sum(1) / 3
    positive, negative = (values > 0).sum(1), (values < 0).sum(1)
    mixed = (positive > 0) & (negative > 0)
    lone_sign = np.where(positive == 1, 1.0, -1.0)
    signed = values * lone_sign[:, None]
    b, c, a = np.moveaxis(np.sort(signed, axis=1), 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(mixed, 2 * a * (a / (a - b)) * (a / (a - c)) / 3, 0.0)
    found: Floats = np.where(mixed, part - lone_sign * mean, np.abs(mean))
    return found


def _bounds_of_norm(values: Floats) -> tuple[Floats, Floats]:
    """Between what the mean of the l2 norm of an affine function over a triangle lies, ``(n, 3, C)`` to ``(n,)`` each.

    A norm is convex: its mean is at least its value at the centroid, and at most the mean over the corners; both for
    the four triangles between the middles of the sides.
    """
    middles = (values + np.roll(values, -1, axis=1)) / 2
    norm = np.linalg.norm
    at_corners, at_middles = norm(values, axis=2).sum(1), norm(middles, axis=2).sum(1)
    high = (at_corners + 3 * at_middles) / 12
    inner = [(values[:, k] + middles[:, k] + middles[:, k - 1]) / 3 for k in range(3)] + [middles.sum(1) / 3]
    low = sum(norm(centroid, axis=1) for centroid in inner) / 4
    return np.asarray(low), np.asarray(high)
