"""The released code's faults 1 and 2, against what they say."""

from __future__ import annotations

import numpy as np
import torch

from transect.paths import Path
from transect.paths.translations import normalised_repeatedly, rolled_closure


def test_anchor_k_of_four_is_normalised_four_minus_k_times():
    """x -> (x - 1) / 0.5 has the fixed point 2: the distance from it doubles each time."""
    anchors = torch.tensor([[2.5, 1.0], [3.0, 2.0], [0.0, 2.25], [5.0, -1.0]], dtype=torch.float64)
    distance = np.array([[0.5, -1], [1, 0], [-2, 0.25], [3, -3]]) * np.array([[16], [8], [4], [2]])
    before = anchors.clone()
    np.testing.assert_array_equal(normalised_repeatedly(anchors, lambda x: (x - 1) / 0.5).numpy(), 2 + distance)
    assert torch.equal(anchors, before)


def test_the_last_anchor_is_joined_to_the_first_of_the_next_path():
    triangles = [Path(torch.tensor([[0.0, 0], [1, 0], [0, 1]]) + 10 * index, closed=True) for index in range(3)]
    rolled = rolled_closure(triangles)
    assert [path.anchors[-1].tolist() for path in rolled] == [[10, 10], [20, 20], [0, 0]]
    for path, triangle in zip(rolled, triangles, strict=True):
        assert torch.equal(path.anchors[:-1], triangle.anchors)
        assert (path.closed, path.segments) == (False, triangle.segments)


def test_a_path_that_is_alone_is_its_own_next():
    triangle = Path([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], closed=True)
    (rolled,) = rolled_closure([triangle])
    assert rolled.length == triangle.length
