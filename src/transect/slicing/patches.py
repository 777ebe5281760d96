"""The engine's groups as patches: what a slice is made of, handed out one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from transect.engine.plane.engine import FinishedGroup, PlaneEngine
from transect.engine.plane.mesh import Bends, Floats, Ints, Mesh
from transect.engine.plane.sheet import Sheet
from transect.engine.rounding import MERGED_ON_PLANES, RoundingNearby, Spread, spread_along, tolerances
from transect.errors import VerificationError
from transect.networks.network import Network
from transect.paths import Plane

_SAMPLED = 17  # points of the domain at which the magnitudes of values are looked at, beside its corners


@dataclass(frozen=True, eq=False)
class Frame:
    """How plane coordinates are measured: relative to the middle of the domain, in the units of the input.

    Attributes:
        plane: The plane.
        centre: Coordinates of the middle, ``(2,)``: what is worked with is relative to it.
        corners: Corners of the domain, relative, ``(K, 2)``.
    """

    plane: Plane
    centre: Floats
    corners: Floats

    @classmethod
    def of(cls, plane: Plane) -> Frame:
        """The frame of a plane's domain."""
        corners = plane.corners.numpy()
        centre = (corners.min(0) + corners.max(0)) / 2
        return cls(plane, centre, corners - centre)

    @cached_property
    def root(self) -> Floats:
        """A matrix that turns steps in coordinates into steps of an orthonormal frame, ``(2, 2)``."""
        return np.linalg.cholesky(self.plane.metric.numpy()).T

    @property
    def area_of_unit(self) -> float:
        """Area, in the units of the input, of what has area 1 in coordinates."""
        return float(self.root[0, 0] * self.root[1, 1])

    def lengths(self, steps: Floats) -> Floats:
        """Lengths of steps ``(n, 2)`` in the units of the input."""
        across = steps @ self.root.T
        return np.hypot(across[:, 0], across[:, 1])

    def sheet(self, network: Network) -> Sheet:
        """The plane in the working dtype, around the middle."""
        plane = self.plane
        middle = plane.origin + self.centre[0] * plane.u + self.centre[1] * plane.v
        return Sheet(*(part.to(network.device, network.dtype).unsqueeze(0) for part in (middle, plane.u, plane.v)))


@dataclass(frozen=True, eq=False)
class Patch:
    """Neighbouring polygons of a slice: ``V`` vertices, ``F`` polygons, ``H`` corners. Tensors lie on the CPU.

    Attributes:
        frame: How coordinates are measured.
        mesh: The polygons, in coordinates relative to the middle of the domain.
        bends: What bends at their edges.
        beside: What is at a threshold along their seams.
        outputs: Outputs at the vertices, ``(V, outputs)``.
    """

    frame: Frame
    mesh: Mesh
    bends: Bends
    beside: Bends
    outputs: Tensor

    def __len__(self) -> int:
        return self.mesh.polygons

    @property
    def xy(self) -> Tensor:
        """Plane coordinates of the vertices, ``(V, 2)`` float64."""
        return torch.from_numpy(self.mesh.xy + self.frame.centre)

    @property
    def start(self) -> Tensor:
        """Where the corners of each polygon start, ``(F + 1,)``."""
        return torch.from_numpy(self.mesh.start)

    @property
    def corner(self) -> Tensor:
        """Vertex of every corner, counter-clockwise, one polygon after the other, ``(H,)``."""
        return torch.from_numpy(self.mesh.corner)

    @cached_property
    def values(self) -> Floats:
        """Outputs at the vertices in float64, ``(V, outputs)``."""
        return self.outputs.double().numpy()

    @cached_property
    def areas(self) -> Floats:
        """Areas in the units of the input, ``(F,)``."""
        return self.mesh.areas * self.frame.area_of_unit

    @cached_property
    def lengths(self) -> Floats:
        """Length of the edge that each corner begins, in the units of the input, ``(H,)``."""
        mesh = self.mesh
        return self.frame.lengths(mesh.xy[mesh.corner[mesh.following]] - mesh.xy[mesh.corner])

    @cached_property
    def jacobians(self) -> Floats:
        """Slopes of the outputs in an orthonormal frame of the plane, ``(F, outputs, 2)``."""
        base = self.mesh.base
        at = self.values[self.mesh.corner[base.corner]]  # (F, 3, outputs)
        rise = at[:, 1:] - at[:, :1]
        x = rise[:, 0] * base.across[:, 1:] - rise[:, 1] * base.along[:, 1:]
        y = rise[:, 1] * base.along[:, :1] - rise[:, 0] * base.across[:, :1]
        slope = np.stack([x, y], 2) / base.determinant[:, None, None]
        return slope @ np.linalg.inv(self.frame.root)


def rounding_over(network: Network, frame: Frame) -> tuple[Spread, Tensor]:
    """Rounding of every unit and output over a domain, and the places it was judged at.

    Raises:
        VerificationError: It overflows.
    """
    sheet, corners = frame.sheet(network), torch.from_numpy(frame.corners)
    mixed = torch.rand(_SAMPLED, len(corners), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = torch.cat([corners, (mixed / mixed.sum(1, keepdim=True)) @ corners]).to(network.device)
    spread = spread_along(network.program, sheet.points(places))
    if not all(bool(deviation.isfinite().all()) for deviation in (*spread.bends, spread.outputs)):
        raise VerificationError(
            f"Values inside the network are too large: they overflow {network.dtype} on this plane. Slice in float64, "
            "over a smaller domain, or look for very large weights."
        )
    return spread, places


def engine_over(network: Network, frame: Frame, spread: Spread, places: Tensor, budget: int) -> PlaneEngine:
    """An engine for a domain."""
    program, sheet = network.program, frame.sheet(network)
    nearby = RoundingNearby(
        program, sheet, max(1, budget // (4 * program.row_elements)), MERGED_ON_PLANES[network.dtype]
    )
    known = tolerances(spread, nearby, places)
    return PlaneEngine(program, sheet, frame.corners, known, budget)


def patches_of(engine: PlaneEngine, frame: Frame, chosen: Tensor | None) -> Iterator[Patch]:
    """The engine's groups; ``chosen`` are the outputs wanted, None for all."""
    for group in engine.groups():
        yield _patch(group, frame, chosen)


def _patch(group: FinishedGroup, frame: Frame, chosen: Tensor | None) -> Patch:
    outputs = group.outputs if chosen is None else group.outputs.index_select(1, chosen)
    if not bool(outputs.isfinite().all()):
        raise VerificationError(
            f"The outputs overflow {outputs.dtype} on this plane, or are not numbers: slice in float64, over a smaller "
            "domain, or look for very large weights."
        )
    return Patch(frame, group.mesh, group.bends, group.beside, outputs.cpu())


def bending_at(patch: Patch, corners: Ints) -> tuple[Ints, Ints, Ints]:
    """What bends at the edges some corners begin: which of them, operations and units."""
    label = patch.mesh.bends[corners]
    with_label = np.flatnonzero(label >= 0)
    found = patch.bends.only(label[with_label])
    owner = np.repeat(with_label, np.diff(found.start))
    return owner, found.operation, found.unit
