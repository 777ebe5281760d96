"""The polyline itself: segments, lengths, points, and what it refuses."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from transect.errors import InvalidInput
from transect.paths import Path


def _anchors(seed: int, anchors: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(anchors, *shape)))


polylines = st.builds(
    lambda seed, anchors, shape, closed: Path(_anchors(seed, anchors, shape), closed),
    st.integers(0, 10**6),
    st.integers(2, 6),
    st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    st.booleans(),
)


@settings(deadline=None)
@given(polylines)
def test_segments_join_neighbours_and_a_closed_path_its_ends(path: Path) -> None:
    points = path.anchors.flatten(1).tolist()
    pairs = list(pairwise(points)) + ([(points[-1], points[0])] if path.closed else [])
    assert len(path) == path.segments == len(pairs)
    assert path.starts.flatten(1).tolist() == [start for start, _ in pairs]
    assert path.ends.flatten(1).tolist() == [end for _, end in pairs]
    assert path.lengths.dtype == torch.float64
    assert path.lengths.tolist() == pytest.approx([math.dist(*pair) for pair in pairs], rel=1e-14)
    assert path.length == pytest.approx(math.fsum(math.dist(*pair) for pair in pairs), rel=1e-14)


@settings(deadline=None)
@given(polylines, st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_evaluate_interpolates_each_coordinate(path: Path, places: list[float]) -> None:
    t = np.array(places) * path.segments
    corners = torch.cat([path.starts, path.ends[-1:]]).flatten(1).numpy()
    expected = [np.interp(t, np.arange(len(corners)), column) for column in corners.T]
    points = path.evaluate(t)
    assert points.shape == (len(t), *path.anchors.shape[1:])
    np.testing.assert_allclose(points.flatten(1).numpy(), np.stack(expected, 1), rtol=0, atol=1e-13)


@settings(deadline=None)
@given(polylines)
def test_evaluate_meets_the_anchors_exactly(path: Path) -> None:
    assert torch.equal(path.evaluate(range(path.segments)), path.starts)
    assert torch.equal(path.evaluate(path.segments), path.ends[-1])


def test_a_number_gives_one_point_and_an_array_several() -> None:
    path = Path(torch.zeros(2, 3, 4).index_fill_(0, torch.tensor([1]), 1.0))
    assert path.evaluate(0.25).tolist() == torch.full((3, 4), 0.25).tolist()
    assert path.evaluate([0.25]).shape == (1, 3, 4)
    assert path.evaluate(np.array([])).shape == (0, 3, 4)


@pytest.mark.parametrize("t", [-0.1, 2.1, math.nan, [0.5, 7.0]])
def test_positions_outside_the_path_are_refused(t: object) -> None:
    with pytest.raises(InvalidInput, match=r"positions in \[0, 2\]"):
        Path([[0.0], [1.0], [0.0]]).evaluate(t)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_kept_and_lengths_are_float64(dtype: torch.dtype) -> None:
    path = Path(torch.tensor([[0.0, 0.0], [0.1, 0.2]], dtype=dtype))
    assert path.anchors.dtype == path.evaluate(0.5).dtype == dtype
    assert path.length == pytest.approx(math.dist(*path.anchors.double().tolist()), rel=1e-15)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list])
def test_arrays_tensors_and_lists_are_taken(kind: type) -> None:
    assert Path(kind([[0.0, 0.0], [3.0, 4.0]])).length == 5.0


def test_later_changes_of_the_source_do_not_reach_the_path() -> None:
    source = np.array([[0.0], [1.0]])
    path = Path(source)
    source[1] = 7.0
    assert path.anchors.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("anchors", "closed", "message"),
    [
        ([[0, 0], [1, 1]], False, "floating-point numbers, got torch.int64"),
        (np.zeros((2, 3), dtype=np.uint8), False, "got torch.uint8"),
        ("a word", False, "got str"),
        ([[0.0], [1.0, 2.0]], False, "got list"),
        ([[0.0, 1.0]], False, "at least two anchors"),
        ([0.0, 1.0], False, "at least two anchors"),
        ([[0.0], [math.nan]], False, "anchor 1 contains NaN or infinity"),
        ([[0.0], [1.0], [math.inf]], False, "anchor 2 contains NaN or infinity"),
        ([[0.0], [1.0], [1.0], [2.0]], False, "segment 1 has length zero: anchors 1 and 2"),
        ([[0.0], [1.0], [0.0]], True, "segment 2 has length zero: anchors 2 and 0"),
    ],
)
def test_bad_anchors_are_refused_with_what_is_wrong(anchors: object, closed: bool, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Path(anchors, closed)


def test_a_path_may_return_to_a_point_later() -> None:
    assert Path([[0.0], [1.0], [0.0]]).lengths.tolist() == [1.0, 1.0]


@settings(deadline=None)
@given(polylines, st.floats(0, 1), st.floats(0, 1))
def test_a_stretch_has_the_points_of_the_whole(path: Path, first: float, second: float) -> None:
    start, stop = sorted((first * path.segments, second * path.segments))
    assume(stop - start > 1e-6)
    part = path.between(start, stop)
    inner = [k for k in range(path.segments + 1) if start < k < stop]
    assert torch.equal(part.anchors, path.evaluate([start, *inner, stop]))
    borders = np.array([start, *inner, stop])
    shares = sum(float(path.lengths[int(a)]) * (b - a) for a, b in pairwise(borders))
    assert part.length == pytest.approx(shares, rel=1e-9)


@pytest.mark.parametrize("stretch", [(-0.5, 1.0), (1.0, 1.0), (1.5, 1.0), (0.0, 2.5)])
def test_a_stretch_outside_the_path_is_refused(stretch: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput, match="between"):
        Path([[0.0], [1.0], [0.0]]).between(*stretch)


@pytest.mark.parametrize("scale", [5e-324, 1e-160, 1e160])
def test_lengths_of_very_short_and_very_long_segments(scale: float):
    path = Path(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]], dtype=torch.float64) * scale)
    assert path.lengths.tolist() == [5 * scale, 4 * scale]
