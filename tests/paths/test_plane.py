"""The plane: its coordinates, its domain, its makers, its chords, and what it refuses."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import transect
from transect.errors import InvalidInput
from transect.paths import Path, Plane

SQUARE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
X, Y, Z = np.eye(3)


def _normal(seed: int, *size: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=size))


def _in_space(plane: Plane) -> np.ndarray:
    """Corners of the domain as inputs, ``(K, 3)``."""
    return plane.at(plane.corners).numpy()


def _area_in_space(corners: np.ndarray) -> float:
    """Of a convex polygon in three dimensions: the triangles from its first corner, by vector products."""
    sides = corners[1:] - corners[0]
    return float(np.linalg.norm(np.cross(sides[:-1], sides[1:]), axis=1).sum() / 2)


def _shoelace(corners: list[list[float]]) -> Fraction:
    exact = [(Fraction(a), Fraction(b)) for a, b in corners]
    return sum((a * d - c * b for (a, b), (c, d) in zip(exact, [*exact[1:], exact[0]], strict=True)), Fraction(0)) / 2


def _on_ellipse(seed: int, corners: int) -> np.ndarray:
    """A convex polygon, counter-clockwise: points of an ellipse in the order of their angles."""
    generator = np.random.default_rng(seed)
    angles = np.sort(generator.choice(1000, corners, replace=False)) * 2 * np.pi / 1000
    return generator.normal(size=2) + np.stack([3 * np.cos(angles), np.sin(angles)], 1) @ generator.normal(size=(2, 2))


planes = st.builds(
    lambda seed, corners: Plane(*_normal(seed, 3, 3), _on_ellipse(seed, corners)),
    st.integers(0, 10**6),
    st.integers(3, 12),
)


# -- coordinates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2,), (3,), (1, 2, 3)])
def test_points_are_origin_plus_a_u_plus_b_v(shape: tuple[int, ...]) -> None:
    origin, u, v = _normal(0, 3, *shape)
    plane = Plane(origin, u, v, SQUARE)
    points = _normal(1, 5, 2)
    expected = np.stack([origin.numpy() + a * u.numpy() + b * v.numpy() for a, b in points.tolist()])
    assert plane.input_shape == shape
    assert plane.at(points).shape == (5, *shape)
    np.testing.assert_allclose(plane.at(points).numpy(), expected, rtol=0, atol=1e-14)
    assert torch.equal(plane.at(points[2]), plane.at(points)[2])
    assert torch.equal(plane.at([0, 0]), origin)
    assert plane.at([]).shape == (0, *shape)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_everything_is_float64_whatever_is_given(dtype: torch.dtype) -> None:
    origin, u, v = torch.tensor([[0.1, 0.2], [1.1, 0.0], [0.0, 0.7]], dtype=dtype)
    plane = Plane(origin, u, v, torch.tensor(SQUARE, dtype=dtype), torch.tensor([[0.1, 0.2]], dtype=dtype))
    for kept, source in ((plane.origin, origin), (plane.u, u), (plane.v, v)):
        assert kept.dtype == torch.float64
        assert kept.tolist() == source.tolist()
    assert {plane.corners.dtype, plane.anchors.dtype, plane.metric.dtype, plane.at([0, 1]).dtype} == {torch.float64}


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list, lambda values: torch.tensor(values).requires_grad_()])
def test_arrays_tensors_and_lists_are_taken_and_copied(kind: type) -> None:
    given = [kind(values) for values in ([1.0, 2.0], [1.0, 0.0], [0.0, 1.0], SQUARE, SQUARE[1:3])]
    plane = Plane(*given)
    with torch.no_grad():
        for one in given:
            one[0] = one[1]
    assert (plane.origin.tolist(), plane.u.tolist(), plane.corners.tolist()) == ([1.0, 2.0], [1.0, 0.0], SQUARE)
    assert plane.anchors.tolist() == SQUARE[1:3]
    assert not plane.origin.requires_grad


def test_without_anchors_there_are_none() -> None:
    assert Plane(X, Y, Z, SQUARE).anchors.shape == Plane(X, Y, Z, SQUARE, []).anchors.shape == (0, 2)


@settings(deadline=None)
@given(planes, st.integers(0, 10**6))
def test_the_nearest_points_are_those_of_least_squares(plane: Plane, seed: int) -> None:
    x = _normal(seed, 4, 3)
    coordinates, distances = plane.project(x)
    directions = torch.stack([plane.u, plane.v], 1).numpy()
    expected, squares = np.linalg.lstsq(directions, (x - plane.origin).T.numpy())[:2]
    condition = np.linalg.cond(directions)
    np.testing.assert_allclose(coordinates.numpy(), expected.T, rtol=0, atol=1e-12 * condition**2)
    np.testing.assert_allclose(distances.numpy(), np.sqrt(squares), rtol=1e-9, atol=1e-12)
    one, distance = plane.project(x[1])
    assert (one.shape, distance.shape) == ((2,), ())
    np.testing.assert_allclose(one.numpy(), coordinates[1].numpy(), rtol=0, atol=1e-12 * condition**2)


def test_projecting_undoes_at_and_distances_are_those_along_the_normal() -> None:
    origin, u, v = torch.tensor([[1.0, 1.0, 1.0], [1.0, 2.0, 2.0], [0.0, 3.0, -3.0]], dtype=torch.float64)
    plane = Plane(origin, u, v, SQUARE)
    normal = torch.tensor([-4.0, 1.0, 1.0], dtype=torch.float64) / math.sqrt(18)  # orthogonal to u and v by hand
    points = _normal(3, 6, 2)
    offsets = torch.tensor([0.0, 1.0, -2.0, 1e-3, 50.0, 7.0], dtype=torch.float64)
    coordinates, distances = plane.project((plane.at(points) + offsets[:, None] * normal).reshape(6, 3))
    np.testing.assert_allclose(coordinates.numpy(), points.numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(distances.numpy(), offsets.abs().numpy(), rtol=0, atol=1e-13)


def test_points_of_float32_are_projected_as_they_are() -> None:
    coordinates, distance = Plane(np.zeros(3), X, Y, SQUARE).project(torch.tensor([0.1, 0.2, 0.3]))
    assert coordinates.tolist() == [float(np.float32(0.1)), float(np.float32(0.2))]
    assert float(distance) == pytest.approx(float(np.float32(0.3)), rel=1e-15)


def test_the_metric_is_that_of_the_directions() -> None:
    plane = Plane(np.zeros(3), [1.0, 2.0, 2.0], [3.0, 0.0, 4.0], SQUARE)
    assert plane.metric.tolist() == [[9.0, 11.0], [11.0, 25.0]]
    step = torch.tensor([2.0, -3.0], dtype=torch.float64)
    moved = plane.at([3.0, 4.0]) - plane.at([1.0, 7.0])
    assert float(step @ plane.metric @ step) == pytest.approx(float(moved @ moved), rel=1e-15)


# -- the domain -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(planes)
def test_area_and_perimeter_are_those_in_input_space(plane: Plane) -> None:
    corners = _in_space(plane)
    sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    assert plane.area == pytest.approx(_area_in_space(corners), rel=1e-9)
    assert plane.perimeter == pytest.approx(sides.sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("u", "v", "root"),
    [
        ([1.0, 2.0, 2.0], [2.0, 1.0, -2.0], 9),
        ([3.0, 0.0, 0.0], [5.0, 4.0, 0.0], 12),
        ([0.0, 6.0, 8.0], [1.0, 0, 0], 10),
    ],
)
def test_the_area_is_that_of_coordinates_times_the_root_of_the_metrics_determinant(
    u: list[float], v: list[float], root: int
) -> None:
    corners = [[0.1, 0.2], [7.0, -0.3], [9.3, 5.5], [1.7, 8.1]]
    plane = Plane(np.zeros(3), u, v, corners)
    assert plane.area == pytest.approx(float(root * _shoelace(corners)), rel=4e-16)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12), st.booleans())
def test_corners_are_kept_counter_clockwise_with_the_first_in_front(seed: int, count: int, clockwise: bool) -> None:
    corners = _on_ellipse(seed, count).tolist()
    if _shoelace(corners) < 0:  # the ellipse was mirrored
        corners.reverse()
    given_corners = [corners[0], *corners[:0:-1]] if clockwise else corners
    assert Plane(X, Y, Z, given_corners).corners.tolist() == corners


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("clockwise", [False, True])
def test_corners_on_straight_edges_are_left_out(first: int, clockwise: bool) -> None:
    corners = [[0.0, 0.0], [0.1, 0.0], [0.7, 0.0], [1.0, 0.0], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0], [0.0, 0.25]]
    corners = corners[first:] + corners[:first]
    if clockwise:
        corners.reverse()
    plane = Plane(X, Y, Z, corners)
    assert len(plane.corners) == 4
    assert sorted(plane.corners.tolist()) == sorted(SQUARE)
    assert _shoelace(plane.corners.tolist()) == 1


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 8), st.sampled_from([1e-9, 1.0, 1e9]))
def test_a_corner_that_rounding_moves_inside_of_its_edge_is_left_out_too(seed: int, count: int, scale: float) -> None:
    corners = _on_ellipse(seed, count) * [1.0, scale] + [5.0, 5.0 * scale]
    after = np.roll(corners, -1, 0)
    between = np.stack([corners, corners + (after - corners) / 3, (corners + after) / 2], 1).reshape(-1, 2)
    plane = Plane(X, Y, Z, between)
    assert {tuple(corner) for corner in corners.tolist()} <= {tuple(corner) for corner in plane.corners.tolist()}
    hull = abs(_shoelace(corners.tolist()))
    assert 0 <= _shoelace(plane.corners.tolist()) - hull <= hull * Fraction(1, 10**9)


def test_a_corner_that_is_convex_by_however_little_is_kept() -> None:
    least = math.nextafter(1.0, 2.0)
    plane = Plane(X, Y, Z, [[0.0, 0.0], [1.0, 0.0], [least, 0.5], [1.0, 1.0], [0.0, 1.0]])
    assert plane.corners.tolist()[2] == [least, 0.5]


@pytest.mark.parametrize("scale", [1e-140, 1e-30, 1e30, 1e140])
def test_very_short_and_very_long_directions(scale: float) -> None:
    plane = Plane([0.0, 0.0], [3.0 * scale, 4.0 * scale], [0.0, 1 / scale], SQUARE)
    assert plane.area == pytest.approx(3.0, rel=1e-14)
    coordinates, distance = plane.project([6.0 * scale, 8.0 * scale])
    assert float(coordinates[0]) == pytest.approx(2.0, rel=1e-15)
    assert float(distance) == pytest.approx(0.0, abs=1e-14 * scale)


# -- windows ----------------------------------------------------------------------------------------------------------


def test_a_window_keeps_the_plane_and_cuts_the_domain() -> None:
    plane = Plane(X, Y, 2 * Z, [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], [[3.0, 3.0]])
    part = plane.window([1.0, -1.0], [2.0, 1.5])
    assert [part.origin.tolist(), part.u.tolist(), part.v.tolist()] == [X.tolist(), Y.tolist(), (2 * Z).tolist()]
    assert part.anchors.tolist() == [[3.0, 3.0]]
    assert part.corners.tolist() == [[1.0, 0.0], [2.0, 0.0], [2.0, 1.5], [1.0, 1.5]]
    assert plane.window([1.0, -1.0], [9.0, 9.0]).corners.tolist() == [[1.0, 0.0], [4.0, 0.0], [1.0, 3.0]]
    assert plane.window([-1.0, -1.0], [9.0, 9.0]).corners.tolist() == plane.corners.tolist()


@settings(deadline=None)
@given(planes, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_windows_that_tile_the_domain_have_its_area(plane: Plane, right: float, up: float) -> None:
    low, high = plane.corners.amin(0).numpy(), plane.corners.amax(0).numpy()
    grid = [[low[0], low[0] + right * (high[0] - low[0]), high[0]], [low[1], low[1] + up * (high[1] - low[1]), high[1]]]
    total = 0.0
    for i in (0, 1):
        for j in (0, 1):
            least, most = [grid[0][i], grid[1][j]], [grid[0][i + 1], grid[1][j + 1]]
            try:
                part = plane.window(least, most)
            except InvalidInput:  # the domain does not reach into that quarter
                continue
            assert bool((part.corners >= torch.tensor(least)).all() and (part.corners <= torch.tensor(most)).all())
            total += part.area
    assert total == pytest.approx(plane.area, rel=1e-11)


def test_windows_far_below_the_extent_of_the_domain() -> None:
    plane = Plane([1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]])  # the edge b = a / 3
    middle = 0.7
    for width in (1e-3, 1e-8, 1e-13):
        low = [middle - width, middle / 3 - width]
        part = plane.window(low, [middle + width, middle / 3 + width])
        below = (Fraction(2) * Fraction(width)) ** 2 / 2  # the edge halves the rectangle
        assert part.area == pytest.approx(float(below), rel=1e-15 / width)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (
            [2.0, 0.0],
            [3.0, 1.0],
            r"from \(2.0, 0.0\) to \(3.0, 1.0\) has no area in common .* \(0.0, 0.0\) and \(1.0, 1.0\)",
        ),
        ([1.0, 0.0], [3.0, 1.0], "no area in common"),
        ([1.0, 1.0], [3.0, 3.0], "no area in common"),
        ([0.5, 0.0], [0.5, 1.0], "those of low below those of high"),
        ([0.7, 0.0], [0.5, 1.0], "those of low below those of high"),
        ([0.0], [1.0, 1.0], r"low: expected plane coordinates of shape \(2,\)"),
        ([[0.0, 0.0], [0.0, 0.0]], [1.0, 1.0], "two plane coordinates each"),
        ([0.0, 0.0], [1.0, math.inf], "high: expected finite"),
    ],
)
def test_windows_that_leave_nothing_are_refused(low: list[float], high: list[float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Plane(X, Y, Z, SQUARE).window(low, high)


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("u", "v", "message"),
    [
        (0 * Y, Z, "u: expected a direction, got zero everywhere"),
        (Y, 0 * Z, "v: expected a direction, got zero everywhere"),
        (Y, -3 * Y, "u, v: .* parallel ones: the sine of the angle between them is 0"),
        (Y, Y + 0.9e-8 * Z, "parallel ones: the sine of the angle between them is 9e-09"),
        (torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.1, 0.2, 0.3]) * 3, "less than 2.38e-07 may be rounding"),
        (Y, Z[:2], r"v: expected the shape of the first input, \(3,\), got \(2,\)"),
        (Y.reshape(1, 3), Z, r"u: expected the shape .* got \(1, 3\)"),
        ([0.0, math.nan, 1.0], Z, "u: expected finite values"),
        (Y, [math.inf, 0.0, 1.0], "v: expected finite values"),
        (Y.astype(int), Z, "u: expected floating-point numbers, got torch.int64"),
        (Y, "a word", "v: expected a tensor or array of shape .*, got str"),
        (Y * 1e200, Z, "u: .* between 1e-150 and 1e.150 long, got one of length 1e.200"),
        (Y, Z * 1e-200, "v: .* got one of length 1e-200"),
        (torch.tensor(Y).to_sparse(), Z, "u: expected a dense tensor"),
    ],
)
def test_bad_directions_are_refused(u: object, v: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Plane(X, u, v, SQUARE)


def test_directions_a_little_more_independent_are_taken() -> None:
    assert Plane(X, Y, Y + 1.1e-8 * Z, SQUARE).area == pytest.approx(1.1e-8, rel=1e-7)


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ([0.0, math.nan, 0.0], "origin: expected finite values"),
        ([0, 0, 0], "origin: expected floating-point numbers"),
        ([0.0], "origin: expected an input of at least two numbers"),
        (0.0, "at least two numbers"),
        ([[0.0], [1.0, 2.0]], "origin: expected a tensor or array"),
    ],
)
def test_bad_origins_are_refused(origin: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Plane(origin, Y, Z, SQUARE)


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ([], "at least three, .* got 0"),
        ([[0.0, 0.0], [1.0, 1.0]], "at least three, .* got 2"),
        ([0.0, 1.0], r"shape \(N, 2\), got \(2,\)"),
        ([[0.0, 0.0, 0.0]] * 3, r"shape \(N, 2\), got \(3, 3\)"),
        ("a word", "got str"),
        ([[0.0, 0.0], [1.0, 0.0], [0.0, 1j]], "expected real"),
        ([[0.0, 0.0], [1.0, 0.0], [0.0, math.nan]], "finite plane coordinates"),
        ([[0.0, 0.0], [1.0, 0.0], [0.0, math.inf]], "finite plane coordinates"),
        ([*SQUARE, SQUARE[0]], r"corners 0 and 4 are the same point\. Leave one of them out \(the last"),
        ([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], "corners 1 and 2 are the same point"),
        ([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]], "an area, got corners on one line"),
        ([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [-1.0, -2.0]], "corners on one line"),
        ([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0 + 1e-12]], "corners on one line"),
        (
            [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]],
            "edges that cross each other; .* here 0, 2, 1, 3",
        ),
        ([[math.cos(a), math.sin(a)] for a in np.arange(5) * 0.8 * np.pi], "edges that cross"),
        (
            [[0.0, 0.0], [2.0, 0.0], [0.5, 0.5], [0.0, 2.0]],
            "corner 2 lies inside of the edge from corner 1 to corner 3",
        ),
        (
            [[0.0, 2.0], [0.5, 0.5], [2.0, 0.0], [0.0, 0.0]],
            "corner 1 lies inside of the edge from corner 2 to corner 0",
        ),
        ([[0.0, 0.0], [1.0, 1e-14], [2.0, 0.0], [0.0, 2.0]], "corner 1 lies inside"),
        ([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0], [3.0, 0.0], [0.0, 1.0]], "runs back on itself at corner 2"),
        ([[0.0, 0.0], [1e-200, 0.0], [0.0, 1e-200]], "whose area is a number of float64, got one of 0"),
        ([[0.0, 0.0], [1e200, 0.0], [0.0, 1e200]], "whose area is a number of float64, got one of inf"),
    ],
)
def test_corners_that_are_no_convex_polygon_are_refused(corners: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Plane(X, Y, Z, corners)


def test_a_thin_domain_along_an_axis_is_no_line_in_any_units() -> None:
    plane = Plane(X, Y, 1e13 * Z, [[0.0, 0.0], [1.0, 0.0], [1.0, 1e-13], [0.0, 1e-13]])
    assert plane.area == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize(
    ("anchors", "message"),
    [([0.0, 1.0], r"anchors: .* shape \(N, 2\)"), ([[0.0, math.nan]], "anchors: expected finite")],
)
def test_bad_anchors_are_refused(anchors: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Plane(X, Y, Z, SQUARE, anchors)


def test_bad_points_are_refused() -> None:
    plane = Plane(X, Y, Z, SQUARE)
    with pytest.raises(InvalidInput, match=r"points: .* shape \(2,\) or \(N, 2\), got \(4, 3\)"):
        plane.at(np.zeros((4, 3)))
    with pytest.raises(InvalidInput, match="points: expected finite"):
        plane.at([math.nan, 0.0])
    with pytest.raises(InvalidInput, match=r"x: expected one input of shape \(3,\), or a batch of them, got \(5, 2\)"):
        plane.project(np.zeros((5, 2)))
    with pytest.raises(InvalidInput, match="x: expected finite values"):
        plane.project([0.0, math.inf, 0.0])


# -- makers -----------------------------------------------------------------------------------------------------------


def _assert_orthonormal(plane: Plane) -> None:
    np.testing.assert_allclose(plane.metric.numpy(), np.eye(2), rtol=0, atol=2e-15)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(2,), (3,), (2, 3, 3)]), st.sampled_from([1e-3, 1.0, 1e3]))
def test_a_triangle_lies_in_the_plane_as_its_inputs_do_in_space(
    seed: int, shape: tuple[int, ...], scale: float
) -> None:
    inputs = _normal(seed, 3, *shape) * scale + 2.0
    plane = Plane.through(*inputs)
    _assert_orthonormal(plane)
    np.testing.assert_allclose(plane.at(plane.anchors).numpy(), inputs.numpy(), rtol=0, atol=1e-14 * (1 + scale))
    np.testing.assert_allclose(plane.origin.numpy(), inputs.numpy().mean(0), rtol=0, atol=1e-14 * (1 + scale))
    assert torch.equal(plane.corners, plane.anchors)
    sides = [math.dist(*(inputs[k].flatten().tolist() for k in pair)) for pair in combinations(range(3), 2)]
    for (i, j), side in zip(combinations(range(3), 2), sides, strict=True):
        assert math.dist(plane.anchors[i].tolist(), plane.anchors[j].tolist()) == pytest.approx(side, rel=1e-11)
    half = sum(sides) / 2
    heron = math.sqrt(half * (half - sides[0]) * (half - sides[1]) * (half - sides[2]))
    assert plane.area == pytest.approx(heron, rel=1e-6)
    assert float(plane.u.flatten() @ (inputs[1] - inputs[0]).flatten()) == pytest.approx(sides[0], rel=1e-11)
    assert float(plane.v.flatten() @ (inputs[2] - inputs[0]).flatten()) > 0


@pytest.mark.parametrize("margin", [1e-3, 0.25, 2.0])
def test_a_margin_makes_it_a_rectangle_around_the_triangle(margin: float) -> None:
    plane = Plane.through([1.0, 2.0, 3.0], [1.0, 8.0, 3.0], [1.0, 11.0, 6.0], margin=margin)  # 9 along u, 3 along v
    grown = 9 * margin
    triangle = [[1.0, 2.0, 3.0], [1.0, 11.0, 6.0]]
    expected = [
        [1.0, triangle[0][1] - grown, triangle[0][2] - grown],
        [1.0, triangle[1][1] + grown, triangle[0][2] - grown],
        [1.0, triangle[1][1] + grown, triangle[1][2] + grown],
        [1.0, triangle[0][1] - grown, triangle[1][2] + grown],
    ]
    np.testing.assert_allclose(_in_space(plane), expected, rtol=0, atol=1e-13)
    assert plane.area == pytest.approx((9 + 2 * grown) * (3 + 2 * grown), rel=1e-14)


def test_inputs_of_several_dtypes_span_a_plane() -> None:
    plane = Plane.through(torch.tensor([0.1, 0.0]), np.array([0.3, 0.0]), [0.0, 1.0])
    assert plane.at(plane.anchors[0]).tolist() == pytest.approx([float(np.float32(0.1)), 0.0], abs=1e-16)


P, Q = np.array([1.0, 2.0, 0.5]), np.array([4.0, -2.0, 0.5])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((P, P, Q), "x0, x1: expected three different inputs, got the same one twice"),
        ((P, Q, P), "x0, x2: .* the same one twice"),
        ((P, Q, Q), "x1, x2: .* the same one twice"),
        ((P, Q, (P + Q) / 2), "x2 is on the line through x0 and x1, which are 5 apart"),
        ((P, 2 * Q - P, Q), "x1 is on the line through x0 and x2|x2 is on the line through x0 and x1"),
        ((2 * Q - P, P, Q + 1e-8 * Z), "x2 is on the line through x0 and x1, .* its distance from it is 1e-08"),
        ((P + 1e-9, P, Q), "x0, x1, x2: .* not on one line, but x. is on the line through"),
        ((Q, P, Q[:2]), r"x2: expected the shape of the first input, \(3,\), got \(2,\)"),
        ((P, [1, 2, 3], Q), "x1: expected floating-point numbers"),
        ((P, Q, [math.nan, 0.0, 0.0]), "x2: expected finite values"),
        (([0.0], [1.0], [2.0]), "x0: expected an input of at least two numbers"),
    ],
)
def test_inputs_that_span_no_plane_are_refused(inputs: tuple[object, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Plane.through(*inputs)


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_inputs_on_a_line_are_refused_at_any_scale(scale: float) -> None:
    with pytest.raises(InvalidInput, match="x2 is on the line through x0 and x1"):
        Plane.through(P * scale, Q * scale, (P + Q) / 2 * scale)


@pytest.mark.parametrize("seed", range(5))
def test_an_interpolation_in_float32_spans_no_plane_though_rounding_moves_it_off_the_line(seed: int) -> None:
    first, second = torch.randn(2, 50, generator=torch.Generator().manual_seed(seed))
    third = torch.lerp(first, second, 0.3)
    assert not torch.equal(third.double(), torch.lerp(first.double(), second.double(), 0.3))
    with pytest.raises(InvalidInput, match="x2 is on the line through x0 and x1"):
        Plane.through(first, second, third)
    with pytest.raises(InvalidInput, match=r"to\[1\] is on the line through x and to\[0\]"):
        Plane.around(first, 1.0, to=(second, third))


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_a_bad_margin_is_refused(margin: float) -> None:
    with pytest.raises(InvalidInput, match="margin: expected a number that is at least 0"):
        Plane.through(X, Y, Z, margin=margin)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(2,), (5,), (2, 3, 3)]), st.sampled_from([1e-6, 1.0, 1e3]))
def test_a_random_square_is_one_in_input_space(seed: int, shape: tuple[int, ...], radius: float) -> None:
    x = _normal(seed, *shape)
    plane = Plane.around(x, radius, seed=seed)
    _assert_orthonormal(plane)
    assert torch.equal(plane.origin, x)
    assert plane.anchors.tolist() == [[0.0, 0.0]]
    assert plane.corners.tolist() == [[-radius, -radius], [radius, -radius], [radius, radius], [-radius, radius]]
    assert plane.area == pytest.approx(4 * radius**2, rel=1e-14)
    again = Plane.around(x, radius, seed=seed)
    assert torch.equal(again.u, plane.u)
    assert torch.equal(again.v, plane.v)
    assert not torch.equal(Plane.around(x, radius, seed=seed + 1).u, plane.u)


def test_random_directions_are_isotropic() -> None:
    """Every coordinate of a unit vector in d dimensions has the mean square 1/d, and those of two are uncorrelated."""
    drawn = [Plane.around(torch.zeros(4), 1.0, seed=seed) for seed in range(1500)]
    for directions in (torch.stack([plane.u for plane in drawn]), torch.stack([plane.v for plane in drawn])):
        second = directions.T @ directions / len(drawn)
        np.testing.assert_allclose(second.numpy(), np.eye(4) / 4, rtol=0, atol=5 / math.sqrt(24 * 1500))
        np.testing.assert_allclose(directions.mean(0).numpy(), 0, rtol=0, atol=5 * 0.5 / math.sqrt(1500))


def test_nothing_changes_the_global_random_state() -> None:
    before = torch.get_rng_state()
    Plane.around(torch.zeros(3), 1.0, seed=1).random_chords(10, seed=2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", [tuple, list, np.stack, lambda pair: torch.stack([torch.tensor(one) for one in pair])])
def test_given_directions_are_made_orthonormal(kind: type) -> None:
    plane = Plane.around(X, 2.0, directions=kind((5 * Y, 7 * Y - 3 * Z)))
    assert (plane.u.tolist(), plane.v.tolist()) == (Y.tolist(), (-Z).tolist())


def test_the_principal_directions_of_points_on_three_axes() -> None:
    axes = np.array([[0.6, -0.8, 0.0, 0.0], [0.8, 0.6, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    offsets = np.concatenate([scale * sign * axes[[k]] for k, scale in enumerate((2, 3, 1)) for sign in (1, -1)])
    plane = Plane.around(np.zeros(4), 1.0, principal=offsets + 100.0)
    np.testing.assert_allclose(plane.u.numpy(), axes[1], rtol=0, atol=1e-13)
    np.testing.assert_allclose(plane.v.numpy(), -axes[0], rtol=0, atol=1e-13)  # its largest number is positive
    assert plane.origin.tolist() == [0.0] * 4


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 20), st.sampled_from([(3,), (2, 2, 2)]))
def test_principal_directions_are_eigenvectors_of_the_covariance(seed: int, count: int, shape: tuple[int, ...]) -> None:
    batch = _normal(seed, count, *shape) * torch.linspace(1, 2, math.prod(shape), dtype=torch.float64).reshape(shape)
    plane = Plane.around(batch[0], 1.0, principal=batch)
    _assert_orthonormal(plane)
    covariance = np.cov(batch.flatten(1).numpy(), rowvar=False)
    values = np.linalg.eigvalsh(covariance)[::-1]
    for direction, value in zip((plane.u.flatten().numpy(), plane.v.flatten().numpy()), values, strict=False):
        np.testing.assert_allclose(covariance @ direction, value * direction, rtol=0, atol=1e-9 * values[0])
        assert direction[np.abs(direction).argmax()] > 0


def test_a_square_towards_two_inputs_has_them_as_anchors() -> None:
    x, first, second = _normal(11, 3, 2, 4)
    plane = Plane.around(x, 0.5, to=(first, second))
    _assert_orthonormal(plane)
    assert plane.area == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_allclose(plane.at(plane.anchors).numpy(), torch.stack([x, first, second]).numpy(), atol=1e-14)
    assert plane.anchors[0].tolist() == [0.0, 0.0]
    assert float(plane.anchors[1, 0]) == pytest.approx(float((first - x).norm()), rel=1e-15)
    assert float(plane.anchors[1, 1]) == 0.0
    assert float(plane.anchors[2, 1]) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": (Y, Z), "to": (Y, Z)}, "at most one of directions, principal and to, got directions and to"),
        ({"directions": (Y, 2 * Y)}, r"directions\[0\], directions\[1\]: .* parallel ones.* another directions\[1\]"),
        ({"directions": (Y, 0 * Y)}, r"directions\[1\]: expected a direction, got zero"),
        ({"directions": (Y, Z[:2])}, r"directions\[1\]: expected the shape of the first input, \(3,\)"),
        ({"directions": (X, Y, Z)}, "directions: expected two directions, .*, got 3 of them"),
        ({"directions": "random"}, "directions: expected two directions, .*, got str"),
        ({"directions": 3.0}, "got float"),
        ({"principal": np.stack([Y, Z])}, r"principal: expected at least three inputs, .*, got \(2, 3\)"),
        ({"principal": np.zeros((5, 2))}, r"shape \(N, 3\) with N >= 3, got \(5, 2\)"),
        ({"principal": np.ones((5, 3))}, "vary in at least two directions, but the 5 lie on one line"),
        ({"principal": np.arange(6.0)[:, None] * P}, "vary in at least two directions"),
        (
            {"principal": torch.arange(6.0)[:, None] / 3 * torch.tensor(P).float() + 0.1},
            "vary in at least two directions",
        ),
        ({"principal": np.full((3, 3), np.nan)}, "principal: expected finite"),
        ({"to": (X, Y)}, r"x, to\[0\]: expected three different inputs, got the same one twice"),
        ({"to": (Y, Y)}, r"to\[0\], to\[1\]: .* the same one twice"),
        ({"to": (Y, 2 * Y - X)}, "x, .*: expected inputs that are not on one line, but .* is on the line through"),
        ({"to": Y}, "to: expected two inputs, .*, got 3 of them"),
        ({"seed": -1}, "seed: expected a whole number that is at least 0, got -1"),
        ({"seed": 0.5}, "seed: expected a whole number"),
    ],
)
def test_bad_ways_to_span_a_square_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Plane.around(X, 1.0, **options)


@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_radius_is_refused(radius: float) -> None:
    with pytest.raises(InvalidInput, match="radius: expected a positive, finite number"):
        Plane.around(X, radius)


# -- chords -----------------------------------------------------------------------------------------------------------

SKEWED = Plane([5.0, 0.0, 1.0], [10.0, 0.0, 0.0], [3.0, 0.1, 0.0], [[0.0, 0.0], [0.3, 0.0], [0.0, 10.0]])
RECTANGLE = Plane.around(torch.zeros(3), 1.0, seed=4).window([-1.0, -0.25], [1.0, 0.25])  # 2 by 1/2
MANY_SIDES = Plane(X, 2 * Y, Z + Y, _on_ellipse(5, 9))


def _bound(values: np.ndarray) -> float:
    """Four standard errors of a mean."""
    return 4 * float(values.std(ddof=1)) / math.sqrt(len(values))


@pytest.mark.parametrize("plane", [SKEWED, RECTANGLE, MANY_SIDES])
def test_mean_lengths_of_chords_are_those_of_cauchy_and_crofton(plane: Plane) -> None:
    """The mean of a length s is pi A / P, and that of its cube 3 A^2 / P, for every convex domain."""
    lengths = np.array([path.length for path in plane.random_chords(6000, seed=7)])
    corners = _in_space(plane)
    area, perimeter = _area_in_space(corners), np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1).sum()
    assert abs(lengths.mean() - math.pi * area / perimeter) < _bound(lengths)
    assert abs((lengths**3).mean() - 3 * area**2 / perimeter) < _bound(lengths**3)


def test_chords_meet_two_sides_of_a_rectangle_as_often_as_crossed_strings_say() -> None:
    """Lines through both long sides w at distance h: 2 (sqrt(w^2 + h^2) - h) of the perimeter 2 (w + h)."""
    ends = [RECTANGLE.project(path.anchors)[0][:, 1].abs() for path in RECTANGLE.random_chords(6000, seed=8)]
    both = np.array([bool(((end - 0.25).abs() < 1e-12).all()) for end in ends], dtype=float)
    assert abs(both.mean() - (math.hypot(2, 0.5) - 0.5) / 2.5) < _bound(both)


def test_a_curve_is_crossed_as_often_as_crofton_says() -> None:
    start, end = np.array([0.05, 1.0]), np.array([0.1, 3.0])  # a segment inside of the domain, in plane coordinates
    length = float((SKEWED.at(end) - SKEWED.at(start)).norm())
    crossed = []
    for path in SKEWED.random_chords(6000, seed=9):
        (a, b), (c, d) = SKEWED.project(path.anchors)[0].tolist()
        sides = [(c - a) * (q - b) - (d - b) * (p - a) for p, q in (start, end)]
        crossed.append(float(sides[0] * sides[1] < 0))
    assert abs(np.mean(crossed) - 2 * length / SKEWED.perimeter) < _bound(np.array(crossed))


def test_both_directions_along_a_line_are_equally_likely() -> None:
    first = torch.stack([path.ends[0] - path.starts[0] for path in RECTANGLE.random_chords(6000, seed=10)])
    along = np.sign((first @ RECTANGLE.u).numpy())
    assert abs(along.mean()) < _bound(along)


@pytest.mark.parametrize("plane", [SKEWED, RECTANGLE, MANY_SIDES])
def test_chords_go_from_border_to_border(plane: Plane) -> None:
    corners = plane.corners.numpy()
    edges = np.roll(corners, -1, 0) - corners
    size = np.abs(corners).max(0)

    def depths(point: np.ndarray) -> np.ndarray:
        """How far a point lies inside of each edge, in parts of the domain's rectangle."""
        offsets = point - corners
        return (edges[:, 0] * offsets[:, 1] - edges[:, 1] * offsets[:, 0]) / size.prod()

    for path in plane.random_chords(200, seed=1):
        assert isinstance(path, Path)
        assert (len(path), path.closed, path.anchors.dtype) == (1, False, torch.float64)
        coordinates, distances = plane.project(path.anchors)
        assert float(distances.max()) < 1e-14
        for end in coordinates.numpy():
            assert abs(depths(end).min()) < 1e-13
        assert depths(coordinates.mean(0).numpy()).min() > 0


def test_chords_depend_on_the_seed_alone_and_more_begin_with_fewer() -> None:
    few, many, others = RECTANGLE.random_chords(5, 3), RECTANGLE.random_chords(200, 3), RECTANGLE.random_chords(5, 4)
    assert [len(few), len(many)] == [5, 200]
    assert all(torch.equal(one.anchors, other.anchors) for one, other in zip(few, many, strict=False))
    assert not any(torch.equal(one.anchors, other.anchors) for one, other in zip(few, others, strict=True))


@pytest.mark.parametrize(
    ("count", "seed", "message"),
    [
        (0, 0, "count: expected a whole number that is at least 1, got 0"),
        (2.0, 0, "count: expected a whole number"),
        (True, 0, "count: expected a whole number"),
        (1, -1, "seed: expected a whole number that is at least 0"),
        (1, None, "seed: expected a whole number that is at least 0, got None"),
    ],
)
def test_bad_counts_and_seeds_are_refused(count: int, seed: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        RECTANGLE.random_chords(count, seed)


def test_a_domain_that_float64_cannot_resolve_has_no_chords() -> None:
    with pytest.raises(InvalidInput, match=r"too small for chords: 1.41e-10 around inputs of size up to 1e\+09"):
        Plane.around(torch.full((3,), 1e9), 1e-10).random_chords(1, 0)


# -- as an object -----------------------------------------------------------------------------------------------------


def test_planes_say_what_they_are_and_do_not_change() -> None:
    plane = Plane.around(torch.zeros(3, 8, 8), 2.0)
    assert repr(plane) == "Plane(inputs of shape 3x8x8, 4 corners, area 16)"
    assert plane == plane
    assert plane != Plane.around(torch.zeros(3, 8, 8), 2.0)
    with pytest.raises(AttributeError):
        plane.corners = plane.anchors
    assert transect.Plane is Plane


def test_inputs_in_another_order_of_memory_are_the_same_plane():
    inputs = torch.randn(3, 4, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).permute(
        0, 3, 1, 2
    )
    one, other = Plane.through(*inputs), Plane.through(*inputs.contiguous())
    for name in ("origin", "u", "v"):
        assert torch.equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).is_contiguous()
