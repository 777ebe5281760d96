"""A slice answers for its regions and edges, by any whole number, and refuses others in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import transect
from transect.errors import InvalidInput, VerificationError
from transect.slicing.result import Slice


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 2)).eval()


def plane() -> transect.Plane:
    return transect.Plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [(-2, -2), (2, -2), (0, 2)])


@pytest.fixture(scope="module")
def found() -> Slice:
    return transect.slice(network(), plane())


@pytest.mark.parametrize("kind", [np.int64, torch.tensor])
def test_regions_and_edges_are_found_by_whole_numbers_of_any_kind(found, kind):
    for index in (0, 2, -1):
        assert torch.equal(found.polygons.corners(kind(index)), found.polygons.corners(index))
        assert found.edges.bending(kind(index)) == found.edges.bending(index)


def test_edges_count_from_the_end_where_negative(found):
    count = len(found.edges)
    assert [found.edges.bending(k - count) for k in range(count)] == [found.edges.bending(k) for k in range(count)]
    assert any(found.edges.bending(k) for k in range(count))


@pytest.mark.parametrize("index", [10**6, -(10**6), 1.0, "0", None])
def test_what_is_no_region_or_edge_is_refused(found, index):
    with pytest.raises(InvalidInput, match="index: expected a region, a whole number below"):
        found.polygons.corners(index)
    with pytest.raises(InvalidInput, match="index: expected an edge, a whole number below"):
        found.edges.bending(index)


def test_a_pattern_is_that_of_a_captured_network(found):
    with pytest.raises(InvalidInput, match=r"network: expected the captured network .* got Sequential"):
        found.pattern(network(), 0)


def test_a_slice_that_differs_from_its_module_is_called_one():
    model = network()
    captured = transect.capture(model, torch.zeros(2))
    with torch.no_grad():
        model[-1].bias += 1
    with pytest.raises(VerificationError, match="The slice and your module as it is now differ"):
        transect.slice(captured, plane(), verify="all")
