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
from transect.engine.plane.mesh import Bends, Bools, Floats, Ints, Mesh, slices, starts_of
from transect.engine.plane.windows import bend_windows
from transect.engine.rounding import Tolerance
from transect.rules import Envelope, Hinge
from transect.slicing.joining import matched
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
        self._seams: list[tuple[Ints, Floats, Floats, Ints]] = []  # sides of seams along which two outputs are equal

    def update(self, patch: Patch) -> None:
        """Take a patch into account."""
        whole = np.argmax(patch.values, 1) if self._outputs > 1 else (patch.values[:, 0] > 0).astype(int)
        mesh = patch.mesh
        first = whole[mesh.corner]
        same = np.logical_and.reduceat(first == first[mesh.start[:-1]][mesh.polygon], mesh.start[:-1])
        self._count(first[mesh.start[:-1]][same], patch.areas[same])
        tied = self._tied(patch.values)
        chosen = np.flatnonzero(~same | _beside(mesh, tied))
        if len(chosen) == 0:
            return
        part, values, vertices = _some(patch, chosen)
        cells, parent, labels = self._cells(part, values)
        new = ~same[chosen][parent]
        self._count(labels[new], cells.areas[new] * self._frame.area_of_unit)
        self._keep(cells, labels, np.append(tied[vertices], np.zeros(len(cells.xy) - len(vertices), bool)))

    def _tied(self, values: Floats) -> Bools:
        """Vertices at which the two largest outputs are equal to within rounding, or a single one is zero."""
        bound = self._tolerance.merge.numpy()
        if self._outputs == 1:
            zero: Bools = np.abs(values[:, 0]) <= bound[0]
            return zero
        two = np.partition(values, -2, axis=1)[:, -2:]
        near: Bools = two[:, 1] - two[:, 0] <= 2 * bound.max()
        return near

    def boundary(self) -> Boundary:
        """The boundary found so far."""
        nothing = np.zeros((0, 2))
        parts = [*self._parts, *self._across_seams()]
        start, end = (np.concatenate([nothing, *(part[k] for part in parts)]) for k in (0, 1))
        classes = np.concatenate([nothing.astype(np.int64), *(part[2] for part in parts)])
        length = self._frame.lengths(end - start)
        centre = self._frame.centre
        return Boundary(*(torch.from_numpy(part) for part in (start + centre, end + centre, classes, length)))

    def _count(self, classes: Ints, areas: Floats) -> None:
        self.areas += np.bincount(classes, areas, minlength=len(self.areas))

    def _across_seams(self) -> list[tuple[Floats, Floats, Ints]]:
        """Parts of the boundary that lie along seams."""
        if not self._seams:
            return []
        seam, start, end, label = (np.concatenate(parts) for parts in zip(*self._seams, strict=True))
        left, right, _ = matched(seam, start, end)
        apart = label[left] != label[right]
        left, right = left[apart], right[apart]
        return [(start[left], end[left], np.stack([label[left], label[right]], 1))]

    def _cells(self, mesh: Mesh, values: Tensor) -> tuple[Mesh, Ints, Ints]:
        """The polygons cut where the class changes, the polygon that each is part of, and its class."""
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
        return cells, cut.parent, labels

    def _keep(self, cells: Mesh, labels: Ints, tied: Bools) -> None:
        """Keep the edges at which the class changes: those cut, and those that were there along which two are equal."""
        edges = cells.edges
        along = tied[edges.low] & tied[edges.high]
        seam = np.flatnonzero(along & (cells.seam[edges.first] >= 0))
        if len(seam):
            first = edges.first[seam]
            ends = cells.xy[cells.corner[first]], cells.xy[cells.corner[cells.following[first]]]
            self._seams.append((cells.seam[first], *ends, labels[cells.polygon[first]]))
        edge = np.flatnonzero((edges.second >= 0) & (along | (cells.bends[edges.first] >= 0)))
        left, right = edges.first[edge], edges.second[edge]
        classes = np.stack([labels[cells.polygon[left]], labels[cells.polygon[right]]], 1)
        apart = classes[:, 0] != classes[:, 1]
        left = left[apart]
        start, end = cells.xy[cells.corner[left]], cells.xy[cells.corner[cells.following[left]]]
        self._parts.append((start, end, classes[apart]))


def _beside(mesh: Mesh, tied: Bools) -> Bools:
    """Polygons with an edge whose ends are both tied, ``(F,)``."""
    along = tied[mesh.corner] & tied[mesh.corner[mesh.following]]
    return np.logical_or.reduceat(along, mesh.start[:-1])


def _some(patch: Patch, polygons: Ints) -> tuple[Mesh, Tensor, Ints]:
    """Some polygons as a mesh without bends, the outputs at its vertices, and which of the patch these are."""
    mesh = patch.mesh
    _, entry = slices(mesh.start, polygons)
    vertices, corner = np.unique(mesh.corner[entry], return_inverse=True)
    blank, seam = np.full(len(entry), -1, np.int64), mesh.seam[entry]
    part = Mesh(mesh.xy[vertices], mesh.error[vertices], starts_of(mesh.degree[polygons]), corner, blank, seam, blank)
    return part, patch.outputs[torch.from_numpy(vertices)].clone(), vertices


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
