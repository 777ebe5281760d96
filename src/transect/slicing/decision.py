"""Where the largest output is which: decision regions and the boundary between them, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from transect.engine.plane.arrangement import cut_along
from transect.engine.plane.bending import bend_polygons
from transect.engine.plane.dissolving import without_false_borders
from transect.engine.plane.engine import T_ULPS
from transect.engine.plane.mesh import Bends, Floats, Ints, Mesh
from transect.engine.plane.windows import bend_windows
from transect.engine.rounding import Tolerance
from transect.rules import Envelope, Hinge
from transect.slicing.patches import Frame, Patch


@dataclass(frozen=True, eq=False)
class Boundary:
    """The decision boundary as line segments: ``B`` of them.

    Attributes:
        start: Plane coordinates of their starts, ``(B, 2)``.
        end: Those of their ends; the first class lies on the left.
        classes: The classes on the left and on the right, ``(B, 2)``: positions among the outputs kept, or, of a single
            output, 1 where it is positive and 0 elsewhere.
        length: Their lengths in the units of the input, ``(B,)``.
    """

    start: Tensor
    end: Tensor
    classes: Tensor
    length: Tensor

    def polylines(self) -> list[Tensor]:
        """The segments joined end to end where two meet, each ``(K, 2)``; closed ones end where they start."""
        return _joined(self.start.numpy(), self.end.numpy())


class Decision:
    """Collects areas of classes and the boundary while the patches go by.

    Args:
        frame: How coordinates are measured.
        outputs: Number of outputs.
        deviation: Standard deviation of what rounding does to each, ``(outputs,)``.
        certain: Multiple of it by which two outputs are told apart.
    """

    def __init__(self, frame: Frame, outputs: int, deviation: Tensor, certain: float) -> None:
        self._frame, self._outputs = frame, outputs
        bound = certain * deviation.double().cpu()
        none = torch.zeros(outputs, dtype=torch.bool)
        self._tolerance = Tolerance(
            bound, 2.0, lambda places, number: bound[number], lambda: none, lambda *given: none[given[1]]
        )
        self._reach = T_ULPS * float(np.abs(frame.corners).max())
        self.areas: Floats = np.zeros(max(2, outputs))
        self._parts: list[tuple[Floats, Floats, Ints]] = []

    def update(self, patch: Patch) -> None:
        """Take a patch into account."""
        whole = np.argmax(patch.values, 1) if self._outputs > 1 else (patch.values[:, 0] > 0).astype(int)
        mesh = patch.mesh
        first = whole[mesh.corner]
        same = np.logical_and.reduceat(first == first[mesh.start[:-1]][mesh.polygon], mesh.start[:-1])
        self._count(first[mesh.start[:-1]][same], patch.areas[same])
        mixed = np.flatnonzero(~same)
        if len(mixed) == 0:
            return
        part, values = _some(patch, mixed)
        cells, labels, boundary = self._cells(part, values)
        self._count(labels, cells.areas * self._frame.area_of_unit)
        self._keep(cells, labels, boundary)

    def boundary(self) -> Boundary:
        """The boundary found so far."""
        nothing = np.zeros((0, 2))
        start, end = (np.concatenate([nothing, *(part[k] for part in self._parts)]) for k in (0, 1))
        classes = np.concatenate([nothing.astype(np.int64), *(part[2] for part in self._parts)])
        length = self._frame.lengths(end - start)
        centre = self._frame.centre
        return Boundary(*(torch.from_numpy(part) for part in (start + centre, end + centre, classes, length)))

    def _count(self, classes: Ints, areas: Floats) -> None:
        self.areas += np.bincount(classes, areas, minlength=len(self.areas))

    def _cells(self, mesh: Mesh, values: Tensor) -> tuple[Mesh, Ints, Ints]:
        """The polygons cut where the class changes, the class of each, and the corners that begin the boundary."""
        bends = Bends.empty()
        if self._outputs == 1:
            bending = bend_polygons(Hinge((0.0,), torch.relu), values, mesh, self._tolerance, self._reach)
            cut = cut_along(mesh, bending.added, bending.chords, 0, self._reach, self._tolerance.stated)
        else:
            found = bend_windows(_arg_max(self._outputs), values, mesh, self._tolerance, self._reach)
            cut = cut_along(mesh, found.added, found.chords, 0, self._reach, self._tolerance.stated)
            bends = bends.more(np.full(cut.cuts, -1), cut.cut_of_chord, 0, np.zeros_like(cut.cut_of_chord))
            cut, _ = without_false_borders(cut, bends, 0, found, mesh, 0)
        at = values.double().numpy()[mesh.corner[mesh.base.corner[cut.parent]]]
        cells = cut.mesh
        weights = np.add.reduceat(cut.weights, cells.start[:-1]) / cells.degree[:, None]
        middle = np.einsum("fp,fpc->fc", weights, at)
        labels = middle.argmax(1) if self._outputs > 1 else (middle[:, 0] > 0).astype(int)
        return cells, labels, np.flatnonzero(cells.bends >= 0)

    def _keep(self, cells: Mesh, labels: Ints, corners: Ints) -> None:
        edges = cells.edges
        edge = np.unique(edges.of_corner[corners])
        edge = edge[edges.second[edge] >= 0]
        left, right = edges.first[edge], edges.second[edge]
        classes = np.stack([labels[cells.polygon[left]], labels[cells.polygon[right]]], 1)
        apart = classes[:, 0] != classes[:, 1]
        left = left[apart]
        start, end = cells.xy[cells.corner[left]], cells.xy[cells.corner[cells.following[left]]]
        self._parts.append((start, end, classes[apart]))


def _some(patch: Patch, polygons: Ints) -> tuple[Mesh, Tensor]:
    """Some polygons as a mesh without bends, and the outputs at its vertices."""
    from transect.engine.plane.mesh import slices, starts_of

    mesh = patch.mesh
    _, entry = slices(mesh.start, polygons)
    vertices, corner = np.unique(mesh.corner[entry], return_inverse=True)
    blank = np.full(len(entry), -1, np.int64)
    part = Mesh(mesh.xy[vertices], mesh.error[vertices], starts_of(mesh.degree[polygons]), corner, blank, blank, blank)
    return part, patch.outputs[torch.from_numpy(vertices)].clone()


def _arg_max(outputs: int) -> Envelope:
    """The largest of all outputs as one window."""
    return Envelope(
        torch.arange(outputs).unsqueeze(0),
        lambda x: x.unsqueeze(1),
        lambda x: x.amax(1, keepdim=True),
        lambda x: x.argmax(1)[:, None, None],
    )


def _joined(start: Floats, end: Floats) -> list[Tensor]:
    ends = np.concatenate([start, end])
    scale = float(np.abs(ends).max(initial=0.0)) or 1.0
    _, point = np.unique(np.round(ends / scale, 11), axis=0, return_inverse=True)
    point = point.reshape(-1)
    count = len(start)
    links: dict[int, list[int]] = {}
    for place, number in enumerate(point.tolist()):
        links.setdefault(number, []).append(place)
    used, lines = np.zeros(count, bool), []
    # Ends and forks first, then closed lines.
    seeds = [place for places in links.values() if len(places) != 2 for place in places] + list(range(count))
    for seed in seeds:
        if used[seed % count]:
            continue
        line, place = [ends[seed]], seed
        while not used[place % count]:
            used[place % count] = True
            other = place + count if place < count else place - count
            line.append(ends[other])
            meeting = links[int(point[other])]
            if len(meeting) != 2:
                break
            place = meeting[0] if meeting[1] == other else meeting[1]
        lines.append(torch.from_numpy(np.stack(line)))
    return lines
