"""The exact oracle in planes, against hand-worked tilings, rational evaluation at points, and the oracle on lines."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise
from random import Random

import numpy as np
import pytest
import torch

from oracle.bends import hinge_of
from oracle.closed_forms import affine, chain
from oracle.closed_planes import KNOWN_PLANES, KnownPlane
from oracle.operands import bends_of
from oracle.planes import PlaneCase, TooManyCells, Vertex, restrict_to_plane
from oracle.polygons import Polygon, area, convex_polygon, coordinates, cut, interval, point
from oracle.rational import between
from oracle.steps import OverWindows
from oracle.tilings import edges
from oracle.windows import windows
from support.random_planes import KINDS, RandomPlane, random_plane

SQUARE = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=float)
seeds = pytest.mark.parametrize("seed", range(4 * len(KINDS)))


@cache
def random_case(seed: int) -> RandomPlane:
    return random_plane(seed, most=150)


def as_polygon(*corners: tuple[int, int]) -> Polygon:
    return convex_polygon([(Fraction(a), Fraction(b)) for a, b in corners])


def from_the_left(corners: tuple[Vertex, ...]) -> list[Vertex]:
    first = corners.index(min(corners))
    return [*corners[first:], *corners[:first]]


def within(corners: list[Vertex], random: Random) -> Vertex:
    """Any rational point of a polygon."""
    weights = [Fraction(random.randint(1, 10**6)) for _ in corners]
    a, b = (sum(w * x for w, x in zip(weights, axis, strict=True)) / sum(weights) for axis in zip(*corners))
    return a, b


def inputs(case: PlaneCase, points: list[Vertex]) -> torch.Tensor:
    origin, u, v = map(torch.from_numpy, (case.origin, case.u, case.v))
    return torch.stack([origin + float(a) * u + float(b) * v for a, b in points])


@pytest.mark.parametrize("known", KNOWN_PLANES, ids=lambda known: known.case.name)
def test_known_planes(known: KnownPlane):
    found = restrict_to_plane(known.case)
    assert {cell.pattern: from_the_left(cell.vertices) for cell in found.cells} == {
        pattern: from_the_left(tuple(corners)) for pattern, corners in known.cells.items()
    }
    assert len(found.edges) == known.edges
    assert found.euler == 1


def test_one_layer_has_a_cell_more_for_every_line_and_every_crossing():
    random = np.random.default_rng(0)
    weight, bias = random.standard_normal((9, 2)), random.standard_normal(9) / 2
    steps = chain(affine(0, weight, bias), affine(0, np.ones((1, 9))))
    found = restrict_to_plane(PlaneCase("one layer", steps, np.zeros(2), *np.eye(2), SQUARE))
    crossings = [np.linalg.solve(weight[[i, j]], -bias[[i, j]]) for i, j in combinations(range(9), 2)]
    inside = sum(bool((abs(x) < 1).all()) for x in crossings)
    across = sum(bool(min(z) < 0 < max(z)) for z in weight @ SQUARE.T + bias[:, None])
    assert across > 4
    assert inside > 4
    assert len(found.cells) == 1 + across + inside
    assert len(found.vertices) == 4 + 2 * across + inside


@seeds
def test_cells_tile_the_polygon(seed: int):
    found = random_case(seed).tiling
    assert found.area == area(found.domain)
    assert found.euler == 1
    assert len(found.by_pattern) == len(found.cells)
    assert all(cell.area > 0 for cell in found.cells)
    assert all(convex_polygon(cell.vertices) == cell.polygon for cell in found.cells)


@seeds
def test_patterns_are_those_of_plain_rational_evaluation(seed: int):
    """At the centroid of every cell, and at any other point of it."""
    case, random = random_case(seed).case, Random(seed)
    for cell in random_case(seed).tiling.cells:
        for at in (cell.centroid, within(list(cell.vertices), random)):
            assert tuple(bend.pieces for bend in bends_of(case.steps, case.plane.value(*at))) == cell.pattern


@seeds
def test_points_are_in_the_cell_that_has_their_pattern(seed: int):
    case, found, random = random_case(seed).case, random_case(seed).tiling, Random(seed)
    for _ in range(10):
        at = within(list(map(coordinates, found.domain)), random)
        (cell,) = found.around(*at)
        assert tuple(bend.pieces for bend in bends_of(case.steps, case.plane.value(*at))) == cell.pattern


@seeds
def test_neighbours_agree_where_they_meet(seed: int):
    found = random_case(seed).tiling
    for corner, meeting in found.cells_at.items():
        at = coordinates(corner)
        assert len({tuple(found.cells[index].output.at(*at)) for index in meeting}) == 1


@seeds
def test_units_that_bend_at_an_edge_are_between_two_pieces_there(seed: int):
    """At a threshold, or with two winners; and every inner edge has such units."""
    case, found = random_case(seed).case, random_case(seed).tiling
    for edge in found.inner_edges:
        (a, b), (c, d) = edge.ends
        bends = bends_of(case.steps, case.plane.value((a + c) / 2, (b + d) / 2))
        assert edge.flips
        for operation, unit, left, right in edge.flips:
            bend = bends[operation]
            if isinstance(bend.step, OverWindows):
                members = windows(bend.step, *bend.shapes).members[unit]
                assert bend.entries[members[left]] == bend.entries[members[right]]
            else:
                assert bend.entries[unit] in hinge_of(bend.step).thresholds[min(left, right) : max(left, right)]


@seeds
def test_every_edge_is_a_whole_side_of_its_cells(seed: int):
    """Values are continuous: no border ends within a side of a cell."""
    found = random_case(seed).tiling
    assert 2 * len(found.inner_edges) + (len(found.edges) - len(found.inner_edges)) == sum(
        len(cell.polygon) for cell in found.cells
    )
    pairs = [frozenset((edge.left, edge.right)) for edge in found.inner_edges]
    assert len(set(pairs)) == len(pairs)


@seeds
def test_lines_lead_through_the_cells_that_the_oracle_on_lines_finds(seed: int):
    case, found, random = random_case(seed).case, random_case(seed).tiling, Random(seed)
    corners = list(map(coordinates, found.domain))
    ways = [(within(corners, random), within(corners, random)) for _ in range(4)]
    ways += [(corners[0], within(corners, random))]
    ways += [(within(corners, random), within(list(cell.vertices), random)) for cell in found.cells[:1]]
    ways += [(random.choice(found.vertices), within(corners, random)) for _ in range(2)]
    for p, q in ways:
        line = between(case.steps, case.plane.value(*p), case.plane.value(*q))
        along = found.along(p, q)
        assert [(low, high) for low, high, _ in along] == list(pairwise(line.knots))
        assert [cell.pattern for *_, cell in along] == [piece.pattern for piece in line.pieces]
        for low, _, cell in along:
            at = tuple(x + low * (y - x) for x, y in zip(p, q, strict=True))
            assert cell.output.at(*at) == line.outputs[line.knots.index(low)]


@seeds
def test_outputs_are_those_of_the_module(seed: int):
    case, found = random_case(seed).case, random_case(seed).tiling
    points = [*found.vertices, *(cell.centroid for cell in found.cells)]
    cells = [*(found.cells[meeting[0]] for meeting in found.cells_at.values()), *found.cells]
    exact = [cell.output.at(*at) for cell, at in zip(cells, points, strict=True)]
    expected = torch.tensor([[float(value) for value in row] for row in exact], dtype=torch.float64)
    with torch.no_grad():
        outputs = random_case(seed).module()(inputs(case, points))
    scale = float(expected.abs().max())
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-9 * scale + 1e-12)


def test_corners_may_be_listed_in_either_direction():
    case = KNOWN_PLANES[1].case
    there, back = (restrict_to_plane(replace(case, corners=corners)) for corners in (SQUARE, SQUARE[::-1].copy()))
    assert {cell.pattern: set(cell.polygon) for cell in there.cells} == {
        cell.pattern: set(cell.polygon) for cell in back.cells
    }


@pytest.mark.parametrize("corners", [[(0, 0), (1, 0), (2, 0), (0, 1)], [(0, 0), (2, 0), (0.5, 0.5), (0, 2)],
                                     [(0, 0), (2, 2), (2, 0), (0, 2)], [(0, 0), (1, 1), (2, 2)]], ids=str)  # fmt: skip
def test_what_is_no_convex_polygon_is_refused(corners: list[tuple[float, float]]):
    with pytest.raises(ValueError, match="no convex polygon"):
        restrict_to_plane(replace(KNOWN_PLANES[0].case, corners=np.array(corners)))


def test_too_many_cells_are_refused():
    assert len(restrict_to_plane(KNOWN_PLANES[1].case, 7).cells) == 7
    with pytest.raises(TooManyCells):
        restrict_to_plane(KNOWN_PLANES[1].case, 6)


def test_a_corner_within_a_side_parts_it():
    """A T-junction, which no network has: one cell on the left, two on the right."""
    polygons = [as_polygon((0, 0), (1, 0), (1, 2), (0, 2)), as_polygon((1, 0), (2, 0), (2, 1), (1, 1)),
                as_polygon((1, 1), (2, 1), (2, 2), (1, 2))]  # fmt: skip
    found = edges(polygons, [((0, 0),), ((1, 0),), ((1, 1),)])
    inner = {(edge.start, edge.end): (edge.left, edge.right, edge.flips) for edge in found if edge.right is not None}
    assert inner == {
        (point_at(1, 0), point_at(1, 1)): (0, 1, {(0, 0, 0, 1)}),
        (point_at(1, 1), point_at(1, 2)): (0, 2, {(0, 0, 0, 1), (0, 1, 0, 1)}),
        (point_at(1, 1), point_at(2, 1)): (2, 1, {(0, 1, 1, 0)}),
    }
    assert len(found) == 10
    with pytest.raises(AssertionError, match="overlap"):
        edges([*polygons, polygons[0]], [((0, 0),)] * 4)


def point_at(a: int, b: int) -> tuple[int, int, int]:
    return point(Fraction(a), Fraction(b))


def test_cutting_a_polygon():
    square = as_polygon((0, 0), (2, 0), (2, 2), (0, 2))
    right, left = cut(square, (-1, 1, 0))
    assert set(right) == set(as_polygon((1, 0), (2, 0), (2, 2), (1, 2)))
    assert set(left) == set(as_polygon((0, 0), (1, 0), (1, 2), (0, 2)))
    assert cut(square, (0, 1, 0)) == (square, None)
    assert cut(square, (0, 0, 0)) == (None, square)
    assert cut(square, (-4, 1, 1)) == (None, square)
    above, below = cut(square, (0, 1, -1))
    assert (area(above), area(below)) == (2, 2)
    assert len(above) == len(below) == 3


def test_intervals_within_a_polygon():
    square = as_polygon((0, 0), (2, 0), (2, 2), (0, 2))
    half = Fraction(1, 2)
    assert interval(square, (Fraction(-1), Fraction(1)), (Fraction(3), Fraction(1))) == (Fraction(1, 4), Fraction(3, 4))
    assert interval(square, (Fraction(1), Fraction(1)), (Fraction(1), Fraction(3))) == (0, half)
    assert interval(square, (Fraction(0), Fraction(0)), (Fraction(2), Fraction(0))) is None, "along a side"
    assert interval(square, (Fraction(-1), Fraction(1)), (Fraction(1), Fraction(-1))) is None, "through a corner"


def test_seeds_give_the_same_cases_again():
    for seed in range(len(KINDS)):
        first, second = random_case(seed), random_plane(seed, most=150)
        assert repr(first.case) == repr(second.case)
        assert [cell.polygon for cell in first.tiling.cells] == [cell.polygon for cell in second.tiling.cells]


@seeds
def test_random_planes_are_the_same_in_float32(seed: int):
    one = random_case(seed)
    for single, double in zip(one.plane(torch.float32), one.plane(), strict=True):
        assert torch.equal(single.double(), double)
    for name, value in one.module(torch.float32).state_dict().items():
        assert torch.equal(value.double(), one.module().state_dict()[name].double())


def at_thresholds(case: PlaneCase, a: float, b: float) -> set[int]:
    """Units of the first step that bends that are at a threshold."""
    first = bends_of(case.steps, case.plane.value(Fraction(a), Fraction(b)))[0]
    thresholds = hinge_of(first.step).thresholds
    return {unit for unit, entry in enumerate(first.entries) if entry in thresholds}


@pytest.mark.parametrize("seed", range(6))
def test_random_planes_are_of_their_kind(seed: int):
    corner = random_plane(seed, "border at corner").case
    assert at_thresholds(corner, *corner.corners[0])
    along = random_plane(seed, "border along edge").case
    assert at_thresholds(along, *along.corners[0]) & at_thresholds(along, *along.corners[1])
    meeting = random_plane(seed, "concurrent")
    assert len(at_thresholds(meeting.case, *meeting.centre)) >= 3
    through = random_plane(seed, "through origin")
    assert through.centre == (0, 0)
    assert not through.case.origin.any()
    for cell in through.tiling.around(Fraction(0), Fraction(0)):
        assert not any(cell.output.at(Fraction(0), Fraction(0)))


def test_windows_of_translations_tie_all_over_a_cell():
    tied = 0
    for seed in range(10):
        one = random_plane(seed, "translations")
        for cell in one.tiling.cells:
            for bend in bends_of(one.case.steps, one.case.plane.value(*cell.centroid)):
                if isinstance(bend.step, OverWindows):
                    for members in windows(bend.step, *bend.shapes).members:
                        entries = [bend.entries[member] for member in members if member is not None]
                        tied += entries.count(max(entries)) > 1
    assert tied > 100


def test_where_three_borders_meet_are_six_cells():
    steps = chain(affine(0, [[1, 0], [0, 1], [1, 1]]), affine(0, [[1, 1, 1]]))
    found = restrict_to_plane(PlaneCase("three lines", steps, np.zeros(2), *np.eye(2), SQUARE))
    assert len(found.cells) == len(found.cells_at[point_at(0, 0)]) == 6
