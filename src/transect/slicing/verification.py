"""A slice is compared with the model itself: at random points of random polygons; with ``verify="all"`` in the middle
of every polygon, and at every edge what bends there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from transect.engine.plane.mesh import Floats, Ints
from transect.engine.rounding import CERTAIN, Spread
from transect.errors import VerificationError
from transect.networks.network import Network
from transect.patterns import beyond_rounding, pieces_at
from transect.rules import Affine
from transect.slicing.patches import Frame, Patch, bending_at
from transect.tracing.result import Verification
from transect.tracing.verification import TOLERANCE, OwnModule, check_error, selected

_POINTS_A_PATCH = 8


class Comparison:
    """What both verifiers share: the network at points of the plane, and what was found so far.

    Args:
        network: The captured network.
        frame: How coordinates are measured.
        outputs: Indices of the outputs kept, or None for all.
        spread: Rounding of every unit and output.
    """

    def __init__(self, network: Network, frame: Frame, outputs: Tensor | None, spread: Spread) -> None:
        self.network, self.outputs, self.spread = network, outputs, spread
        self.sheet = frame.sheet(network)
        corners = selected(network(self.inputs(frame.corners)), outputs).cpu()
        self._corners, self._frame = corners, frame
        chosen = spread.outputs if outputs is None else spread.outputs[outputs]
        self.deviation = float(chosen.max())
        self.found = Verification(scale=float(corners.abs().max()))

    def inputs(self, xy: Floats) -> Tensor:
        """Inputs at coordinates relative to the middle, as the engine has them."""
        return self.sheet.points(torch.from_numpy(np.ascontiguousarray(xy)).to(self.network.device))

    def add(self, part: Verification) -> None:
        """Join what was found in a part, and hold that it is small.

        Raises:
            VerificationError: It is not.
        """
        self.found = self.found.joined(part)
        check_error(self.found.error, self.found.scale, TOLERANCE[self.network.dtype], self.deviation, subject="slice")

    def bend(self, model: Tensor) -> float:
        """How far outputs are from their mean at the corners of the domain: what they vary by."""
        return float((model.cpu() - self._corners.mean(0)).abs().max())


class RandomPoints:
    """Compares random points of random polygons of every patch.

    Args:
        comparison: The network, and where to add what is found.
        seed: Seed of the points.
    """

    def __init__(self, comparison: Comparison, seed: int) -> None:
        self._comparison, self._random = comparison, np.random.default_rng(seed)

    def update(self, patch: Patch) -> None:
        """Compare some points of a patch.

        Raises:
            VerificationError: They differ.
        """
        mesh, compared = patch.mesh, self._comparison
        polygon = self._random.integers(len(patch), size=min(_POINTS_A_PATCH, len(patch)))
        weights = self._random.dirichlet(np.ones(3), len(polygon))
        vertex = mesh.corner[mesh.base.corner[polygon]]
        xy = np.einsum("np,npk->nk", weights, mesh.xy[vertex])
        sliced = torch.from_numpy(np.einsum("np,npc->nc", weights, patch.values[vertex]))
        x = compared.inputs(xy)
        model = selected(compared.network(x), compared.outputs).cpu()
        error = (sliced - model).abs().amax(1)
        single = selected(compared.network(x[:1]), compared.outputs).cpu()
        error[0] = torch.maximum(error[0], (sliced[0] - single[0]).abs().max())
        compared.add(Verification(len(polygon), float(error.max()), float(model.abs().max()), compared.bend(model)))


class EveryPolygon:
    """Compares the middle of every polygon, and at every edge inside a patch what bends there.

    Args:
        comparison: The network, and where to add what is found.
        rows: How many points are evaluated together.
    """

    def __init__(self, comparison: Comparison, rows: int) -> None:
        self._comparison, self._rows = comparison, rows
        called = comparison.network.called
        self._module = None if called is None else OwnModule(called)

    def update(self, patch: Patch) -> None:
        """Compare all of a patch.

        Raises:
            VerificationError: Something differs beyond rounding.
        """
        bits = [
            self._outputs(patch, np.arange(first, min(first + self._rows, len(patch))))
            for first in range(0, len(patch), self._rows)
        ]
        self._edges(patch, bits)

    def _outputs(self, patch: Patch, polygons: Ints) -> list[Tensor]:
        """Compare outputs; returns the pieces of every unit there, as whole numbers, one operation after the other."""
        compared, mesh = self._comparison, patch.mesh
        vertex = mesh.corner[mesh.base.corner[polygons]]
        xy = mesh.xy[vertex].mean(1)
        sliced = torch.from_numpy(patch.values[vertex].mean(1))
        x = compared.inputs(xy)
        exported = compared.network(x)
        model = selected(exported, compared.outputs).cpu()
        part = Verification(0, float((sliced - model).abs().max()), float(model.abs().max()), compared.bend(model))
        if self._module is not None:
            own = selected(self._module(x, exported), compared.outputs).cpu()
            error = float((sliced - own).abs().max())
            part = part.joined(Verification(module_dtype=self._module.dtype, module_error=error))
        units = sum(compared.network.units)
        compared.add(part.joined(Verification(regions=len(polygons), pieces=len(polygons) * units)))
        self._check_module()
        program = compared.network.program
        return [
            pieces_at(instruction.operation, operands[0]).cpu()
            for instruction, operands, _ in program.walk(x)
            if not isinstance(instruction.operation, Affine)
        ]

    def _check_module(self) -> None:
        compared, found = self._comparison, self._comparison.found
        if self._module is not None:
            eps = self._module.eps
            deviation = compared.deviation * max(1.0, eps / torch.finfo(compared.network.dtype).eps)
            tolerance = max(TOLERANCE[compared.network.dtype], eps)
            check_error(found.module_error, found.scale, tolerance, deviation, "your module as it is now", "slice")

    def _edges(self, patch: Patch, bits: list[list[Tensor]]) -> None:
        """Hold that the pieces on both sides of an edge differ for the units that bend there, and for no others."""
        mesh, edges = patch.mesh, patch.mesh.edges
        inner = np.flatnonzero(edges.second >= 0)
        left, right = mesh.polygon[edges.first[inner]], mesh.polygon[edges.second[inner]]
        owner, operation, unit = bending_at(patch, edges.first[inner])
        near = 0
        for index in range(len(self._comparison.network.units)):
            pieces = torch.cat([part[index] for part in bits])
            step = max(1, (1 << 24) // max(1, pieces.shape[1]))
            for first in range(0, len(inner), step):
                part = slice(first, first + step)
                differ = (pieces[left[part]] != pieces[right[part]]).numpy()
                here = np.flatnonzero((operation == index) & (owner >= first) & (owner < first + step))
                differ[owner[here] - first, unit[here]] ^= True
                row, units = np.nonzero(differ)
                if len(row):
                    near += self._explained(patch, index, left[part][row], right[part][row], units, pieces)
        self._comparison.add(Verification(within_rounding=near))

    def _explained(self, patch: Patch, index: int, left: Ints, right: Ints, unit: Ints, pieces: Tensor) -> int:
        """Hold that rounding explains pieces that are not as the slice says: how many there are.

        Raises:
            VerificationError: It does not.
        """
        compared, mesh = self._comparison, patch.mesh
        polygons, place = np.unique(np.concatenate([left, right]), return_inverse=True)
        x = compared.inputs(mesh.xy[mesh.corner[mesh.base.corner[polygons]]].mean(1))
        units = torch.from_numpy(np.concatenate([unit, unit])).to(x.device)
        rows = torch.from_numpy(place).to(x.device)
        # Either of the two may be on the other's piece by rounding.
        other = pieces[np.concatenate([right, left]), np.concatenate([unit, unit])].to(x.device)
        own = pieces[np.concatenate([left, right]), np.concatenate([unit, unit])].to(x.device)
        for instruction, operands, _ in compared.network.program.walk(x):
            bend = instruction.operation
            if isinstance(bend, Affine) or instruction.bend != index:
                continue
            margin = CERTAIN * compared.spread.bends[index]
            said = torch.where(own == other, (own - 1).clamp_min(0) + (own == 0), other)
            beyond = beyond_rounding(bend, operands[0], rows, units, said, margin).reshape(2, -1).amin(0)
            if bool((beyond > 0).any()):
                worst = int(beyond.argmax())
                at = (mesh.centres[left[worst]] + patch.frame.centre).tolist()
                raise VerificationError(
                    f"At plane coordinates {at}, on the two sides of an edge, unit {int(unit[worst])} of "
                    f"{compared.network.operations[index]} does not change its piece as the slice says, and rounding "
                    "does not explain it: the counts must not be used. Please report it."
                )
            return len(left)
        raise AssertionError(f"there is no bending operation {index}")
