"""A slice compared with the exact tiling of the same network and plane.

Polygons and cells are told by where they are: the exact pattern of a polygon is that of the cell around its centre. So
nothing of what the engine says about patterns is believed, and what it says bends at an edge is compared with the
exact patterns on both sides of it.

What is compared depends on what floats can tell. In a *plain* case, where every cell is wider than rounding and the
slice names nothing it could not decide, everything is (in float32 no three borders may meet in one point, either): as
many polygons, vertices and edges, the same corners of each, the same neighbours, the same units at each edge. Elsewhere
the same holds for what is *wide*; thin cells may be merged with a neighbour, or thin polygons appear, and units that
are within rounding of another piece all over a cell may be on either.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import torch

import transect
from oracle.planes import Cell, Tiling
from oracle.polygons import contains, point
from oracle.steps import Case
from oracle.undecided import undecidable_at
from support.random_planes import RandomPlane

WIDE = {torch.float64: 1e-6, torch.float32: 1e-2}  # width of cells, over the domain's, that nothing blurs
POSITION = {torch.float64: 1e-9, torch.float32: 2e-3}  # of vertices, over the domain's size, where floats are plain
CONVEX = {torch.float64: 1e-9, torch.float32: 1e-5}  # of areas by which corners may turn the other way
OUTPUT = {torch.float64: 1e-9, torch.float32: 1e-3}  # of outputs, over the largest

Unit = tuple[int, int]
"""(operation, flat unit)"""


@dataclass(frozen=True)
class Compared:
    """What came of comparing one slice.

    Attributes:
        plain: Whether everything was compared.
        polygons: Polygons compared with a cell.
        edges: Inner edges at which the units that bend were compared.
        thin_cells: Cells too thin to be sure of, and
        thin_polygons: polygons that are.
        beyond: Vertices further from where they truly are than the slice says, and
        worst: how many times further at most.
        faults: What is wrong.
    """

    plain: bool
    polygons: int
    edges: int
    thin_cells: int
    thin_polygons: int
    beyond: int
    worst: float
    faults: tuple[str, ...]


def assert_same_tiling(found: transect.Slice, tiling: Tiling) -> Compared:
    """Compare a slice (``keep="all"``) with the exact tiling.

    Raises:
        AssertionError: They differ by more than rounding.
    """
    compared = compare(found, tiling)
    assert not compared.faults, "\n".join(compared.faults[:8])
    return compared


def compare(found: transect.Slice, tiling: Tiling, undecided: frozenset[Unit] = frozenset()) -> Compared:
    """The same, with all that is wrong listed.

    Args:
        found: The slice.
        tiling: The exact one.
        undecided: Units that floats cannot decide all over some cell.
    """
    return _Comparison(found, tiling, undecided).run()


class _Comparison:
    def __init__(self, found: transect.Slice, tiling: Tiling, undecided: frozenset[Unit]) -> None:
        self._found, self._tiling = found, tiling
        polygons, edges = found.polygons, found.edges
        self._xy, self._error = polygons.xy.numpy(), polygons.error.numpy()
        self._corners = [polygons.vertices(k).numpy() for k in range(len(polygons))]
        self._centres = polygons.centres.numpy()
        self._ends = np.stack([edges.start.numpy(), edges.end.numpy()], 1)
        self._sides = np.stack([edges.left.numpy(), edges.right.numpy()], 1)
        names = {(found.operations.index(entry.operation), entry.unit) for entry in found.unresolved if entry.operation}
        self._undecided = undecided | names
        domain = np.array([[float(Fraction(a, w)), float(Fraction(b, w))] for a, b, w in tiling.domain])
        self._size = float(np.abs(domain - domain.mean(0)).max())
        self._wide, self._near = WIDE[found.dtype] * self._size, POSITION[found.dtype] * self._size
        self._thin_cells = [k for k, cell in enumerate(tiling.cells) if cell.width < self._wide]
        self._plain = not self._thin_cells and not self._undecided and not found.unresolved
        if found.dtype != torch.float64:
            self._plain = self._plain and bool(self._generic())
        self._faults: list[str] = []

    def _generic(self) -> bool:
        """Whether rounding can part nothing that is one: borders of one unit each, meeting by twos, far from others."""
        tiling, corners = self._tiling, set(self._tiling.domain)
        outer = [edge for edge in tiling.edges if edge.right is None]
        on_border = {end for edge in outer for end in (edge.start, edge.end)}
        lengths = [np.hypot(*(float(q - p) for p, q in zip(*edge.ends, strict=True))) for edge in tiling.edges]
        one_each = all(len(edge.units) == 1 for edge in tiling.inner_edges)
        return (
            one_each
            and min(lengths) > self._wide
            and all(
                len(around) <= (1 if corner in corners else 2 if corner in on_border else 4)
                for corner, around in tiling.cells_at.items()
            )
        )

    @cached_property
    def _shapes(self) -> list[np.ndarray]:
        """Corners of the cells."""
        return [np.array([[float(a), float(b)] for a, b in cell.vertices]) for cell in self._tiling.cells]

    @cached_property
    def _on_border(self) -> list[np.ndarray]:
        """All vertices on the border of every cell, also those that are no corners of it; ``(n, 2)`` each."""
        places: dict[int, set] = defaultdict(set)
        for edge in self._tiling.edges:
            for cell in (edge.left, edge.right):
                if cell is not None:
                    places[cell] |= {edge.start, edge.end}
        return [
            np.array([[float(Fraction(a, w)), float(Fraction(b, w))] for a, b, w in places[k]])
            for k in range(len(self._tiling.cells))
        ]

    def run(self) -> Compared:
        self._consistent()
        cell_of = self._cells_of_polygons()
        widths = np.array([_width(self._xy[corners]) for corners in self._corners])
        thin = widths < self._wide / 2
        self._one_to_one(cell_of, thin)
        beyond, worst = self._positions(cell_of, thin)
        edges = self._edges(cell_of, thin)
        self._outputs(cell_of, thin)
        if self._plain:
            self._counts()
        return Compared(
            self._plain, int((~thin).sum()), edges, len(self._thin_cells), int(thin.sum()), beyond, worst,
            tuple(self._faults),
        )  # fmt: skip

    def _fault(self, what: str) -> None:
        self._faults.append(what)

    # The slice in itself

    def _consistent(self) -> None:
        """The slice's own numbers: Euler's formula, areas, neighbours."""
        found, polygons = self._found, self._found.polygons
        inner = self._sides[:, 1] >= 0
        torn = any(not entry.operation for entry in found.unresolved)  # seams that could not be joined, which it names
        euler = len(self._xy) - len(self._ends) + len(polygons)
        if euler != 1 and not torn:
            self._fault(f"Euler: {len(self._xy)} - {len(self._ends)} + {len(polygons)} = {euler}")
        counts = (found.regions, found.vertices, found.borders)
        if counts != (len(polygons), len(self._xy), int(inner.sum())) and not torn:
            self._fault(f"counts {counts} but {len(polygons)} polygons, {len(self._xy)} vertices, {inner.sum()} edges")
        if len(np.unique(np.concatenate(self._corners))) != len(self._xy):
            self._fault("a vertex that no polygon has")
        directed: dict[tuple[int, int], int] = {}
        for k, corners in enumerate(self._corners):
            for pair in zip(corners.tolist(), np.roll(corners, -1).tolist(), strict=True):
                if pair in directed or pair[0] == pair[1]:
                    self._fault(f"polygons {directed.get(pair)} and {k} have the same side of an edge {pair}")
                directed[pair] = k
        for (start, end), (left, right) in zip(self._ends.tolist(), self._sides.tolist(), strict=True):
            if directed.get((start, end)) != left or (directed.get((end, start), -1) != right and not torn):
                self._fault(f"edge {start}-{end} between {left} and {right} is not in these polygons")
        if not torn and len(directed) != 2 * int(inner.sum()) + int((~inner).sum()):
            self._fault("edges are missing")
        total = float(polygons.area.sum())
        if not np.isclose(total, found.plane.area, rtol=1e-9 if found.dtype == torch.float64 else 1e-6):
            self._fault(f"areas add up to {total!r}, the domain has {found.plane.area!r}")
        tiny = CONVEX[found.dtype] * self._size**2
        for k, corners in enumerate(self._corners):
            at = self._xy[corners]
            if _areas(at, np.roll(at, -1, 0), np.roll(at, -2, 0)).min() < -tiny:
                self._fault(f"polygon {k} is not convex: {at.tolist()}")

    def _counts(self) -> None:
        tiling, found = self._tiling, self._found
        expected = (len(tiling.cells), len(tiling.vertices), len(tiling.inner_edges))
        counts = (found.regions, found.vertices, found.borders)
        if counts != expected:
            self._fault(f"(regions, vertices, borders): {counts}, exactly {expected}")

    # Polygons and cells

    def _cells_of_polygons(self) -> np.ndarray:
        """The cell around the centre of every polygon."""
        depth = np.stack([_depths(shape, self._centres) for shape in self._shapes], 1)  # (polygons, cells)
        found = depth.argmax(1)
        for k in np.flatnonzero(depth[np.arange(len(found)), found] < 1e-12 * self._size):
            at = point(*map(Fraction, self._centres[k].tolist()))
            around = [c for c, cell in enumerate(self._tiling.cells) if contains(cell.polygon, at)]
            found[k] = around[0] if around else found[k]
        return found

    def _one_to_one(self, cell_of: np.ndarray, thin: np.ndarray) -> None:
        """Every wide cell has one wide polygon, every wide polygon a cell of its own.

        Of units that are undecided there may be any number of polygons; but none is missing of what the others do.
        """
        decided = [self._decided(cell) for cell in self._tiling.cells]
        if self._undecided:
            there = {decided[cell] for cell in cell_of}
            for cell, pattern in zip(self._tiling.cells, decided, strict=True):
                if pattern not in there and cell.width >= self._wide:
                    self._fault(f"no polygon for the cell of width {cell.width:.2e} around {self._middle(cell)}")
            return
        owners: dict[int, list[int]] = defaultdict(list)
        for polygon in np.flatnonzero(~thin).tolist():
            owners[int(cell_of[polygon])].append(polygon)
        thin_cells = set(self._thin_cells)
        for cell, polygons in owners.items():
            if len(polygons) > 1:
                self._fault(
                    f"{len(polygons)} polygons in cell {cell}, {self._at(polygons[0])}, {self._at(polygons[1])}"
                )
        for cell in range(len(self._tiling.cells)):
            if cell not in owners and cell not in thin_cells:
                missing = self._tiling.cells[cell]
                self._fault(f"no polygon for cell {cell}, width {missing.width:.2e}, around {self._middle(missing)}")

    def _decided(self, cell: Cell) -> tuple[tuple[int, ...], ...]:
        """The pattern of a cell, with the undecided units on one piece."""
        return tuple(
            tuple(-1 if (k, unit) in self._undecided else piece for unit, piece in enumerate(pieces))
            for k, pieces in enumerate(cell.pattern)
        )

    @staticmethod
    def _middle(cell: Cell) -> tuple[float, float]:
        a, b = cell.centroid
        return float(a), float(b)

    def _at(self, polygon: int) -> str:
        x, y = self._centres[polygon].tolist()
        return f"polygon {polygon} around ({x!r}, {y!r})"

    def _positions(self, cell_of: np.ndarray, thin: np.ndarray) -> tuple[int, float]:
        """Corners: none missing, none too many, all where they are; how many are further off than is said."""
        beyond, worst = set(), 0.0
        if self._undecided:  # then their borders are anywhere
            return 0, 0.0
        for polygon in np.flatnonzero(~thin).tolist():
            cell, vertices = int(cell_of[polygon]), self._corners[polygon]
            at, allowed = self._xy[vertices], self._near + self._error[vertices]
            shape, places = self._shapes[cell], self._on_border[cell]
            apart = np.hypot(*(at[:, None] - places[None]).transpose(2, 0, 1))
            missing = np.flatnonzero((apart > allowed[:, None]).all(0))
            extra = np.flatnonzero((apart > allowed[:, None]).all(1))
            for k in extra:
                off = -_depths(shape, at[k : k + 1])[0]
                if self._plain or off > allowed[k]:
                    self._fault(f"{self._at(polygon)} has a corner {at[k].tolist()} too many, {off:.2e} outside "
                                f"cell {cell}")  # fmt: skip
            for k in missing:
                off = -_depths(at, places[k : k + 1])[0]
                if self._plain or off > allowed.max():
                    self._fault(f"{self._at(polygon)} lacks a corner {places[k].tolist()}, {off:.2e} outside")
            if self._plain and len(vertices) != len(places):
                self._fault(f"{self._at(polygon)} has {len(vertices)} corners, exactly {len(places)}")
            if self._plain and not len(extra):
                off = apart.min(1)
                said = self._error[vertices] + 64 * 2.0**-52 * self._size
                beyond |= set(vertices[off > said].tolist())
                worst = max(worst, float((off / said).max()))
            area = float(self._tiling.cells[cell].area) * self._unit_area
            perimeter = float(np.hypot(*(at - np.roll(at, -1, 0)).T).sum())
            if abs(float(self._found.polygons.area[polygon]) - area) > (
                allowed.max() * perimeter * self._unit_area + 1e-12 * area
            ):
                self._fault(f"{self._at(polygon)} has area {float(self._found.polygons.area[polygon])}, exactly {area}")
        return len(beyond), worst

    @cached_property
    def _unit_area(self) -> float:
        return self._found.plane.area / float(self._tiling.area)

    # Edges

    def _edges(self, cell_of: np.ndarray, thin: np.ndarray) -> int:
        """At every edge between wide polygons the units bend that are on different pieces on both sides."""
        cells, compared = self._tiling.cells, 0
        for index, (left, right) in enumerate(self._sides.tolist()):
            if right < 0 or thin[left] or thin[right]:
                continue
            start, end = self._xy[self._ends[index]]
            if np.hypot(*(end - start)) < self._wide:
                continue
            compared += 1
            one, other = cells[int(cell_of[left])], cells[int(cell_of[right])]
            said, true = self._found.edges.bending(index), differing(one, other)
            if len(said) != len(set(said)):
                self._fault(f"edge {index} {start.tolist()}-{end.tolist()}: {said} names a unit twice")
            wrong = (set(said) ^ true) - self._undecided
            if wrong:
                self._fault(
                    f"edge {index} {start.tolist()}-{end.tolist()}: {sorted(said)} bend, exactly {sorted(true)}"
                )
        return compared

    def _outputs(self, cell_of: np.ndarray, thin: np.ndarray) -> None:
        """Outputs at the vertices of wide polygons."""
        outputs = self._found.polygons.outputs.numpy()
        functions = [np.array([[float(x) for x in row] for row in cell.output.coefficients]) for cell in
                     self._tiling.cells]  # fmt: skip
        scale = float(np.abs(outputs).max()) or 1.0
        for polygon in np.flatnonzero(~thin).tolist():
            vertices, function = self._corners[polygon], functions[int(cell_of[polygon])]
            a, b = self._xy[vertices].T[..., None]
            exact = function[:, 0] + function[:, 1] * a + function[:, 2] * b
            slope = np.hypot(function[:, 1], function[:, 2]).max(initial=0.0)
            off = np.abs(outputs[vertices] - exact).max(1)
            allowed = OUTPUT[self._found.dtype] * scale + slope * (self._near + self._error[vertices])
            for k in np.flatnonzero(off > allowed):
                self._fault(f"{self._at(polygon)}: outputs at {self._xy[vertices[k]].tolist()} off by {off[k]:.2e}")


def undecidable(plane: RandomPlane, dtype: torch.dtype) -> frozenset[Unit]:
    """Units that are within rounding of another piece in the middle of some cell."""
    case, found = plane.case, set[Unit]()
    for cell in plane.tiling.cells:
        a, b = np.array(cell.centroid, dtype=np.float32).astype(float)  # of few digits, so that the input is exact
        middle = case.origin + a * case.u + b * case.v
        found |= undecidable_at(Case(case.name, case.steps, middle, middle), [Fraction(0)], dtype)
    return frozenset(found)


def differing(one: Cell, other: Cell) -> set[Unit]:
    """Units on different pieces in two cells."""
    pairs = enumerate(zip(one.pattern, other.pattern, strict=True))
    return {(k, unit) for k, (p, q) in pairs for unit, (x, y) in enumerate(zip(p, q, strict=True)) if x != y}


def _areas(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
    one, other = q - p, r - p
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


def _depths(shape: np.ndarray, at: np.ndarray) -> np.ndarray:
    """How deep points are inside a convex polygon, negative outside (no further off than that), ``(n,)``."""
    p, q = shape, np.roll(shape, -1, 0)
    length = np.hypot(*(q - p).T)
    keep = length > 0
    p, q, length = p[keep], q[keep], length[keep]
    return (_areas(p[None], q[None], at[:, None]) / length).min(1)


def _width(shape: np.ndarray) -> float:
    """Smallest distance of two parallel lines with a convex polygon between them."""
    p, q = shape, np.roll(shape, -1, 0)
    length = np.hypot(*(q - p).T)
    keep = length > 0
    if not keep.any():
        return 0.0
    reach = _areas(p[keep][:, None], q[keep][:, None], shape[None]) / length[keep][:, None]
    return float(reach.max(1).min())
