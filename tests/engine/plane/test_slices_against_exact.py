from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import transect
from oracle.closed_forms import affine, chain
from oracle.modules import Described
from oracle.planes import PlaneCase, restrict_to_plane
from oracle.steps import Maximum, MaxOver, Relu, Reshape, Step
from support.random_planes import KINDS, random_plane
from support.random_slices import run_batch
from support.slices_against_exact import assert_same_tiling, compare, undecidable
from transect.engine.plane import engine

SQUARE = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
Corners = Sequence[tuple[float, float]]
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


def _batches(quick: int, all_of_them: int) -> list[Any]:
    """The first few, and the others as slow tests."""
    return [pytest.param(n, marks=[pytest.mark.slow] * (n >= quick)) for n in range(all_of_them)]


@pytest.mark.parametrize("batch", _batches(2, 8))
def test_random_networks(batch: int):
    tally = run_batch(1, batch)
    assert not tally.failures, tally.failures[0]["error"]


@pytest.mark.parametrize("batch", _batches(1, 4))
def test_random_networks_in_float32(batch: int):
    tally = run_batch(1, batch, dtype=torch.float32)
    assert not tally.failures, tally.failures[0]["error"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@DTYPES
@pytest.mark.filterwarnings("ignore::transect.errors.UnresolvedWarning")
def test_every_kind_of_case(kind: str, dtype: torch.dtype):
    for seed in range(4):
        case = random_plane(seed, kind)
        network = transect.capture(case.module(dtype), case.case.origin[np.newaxis], dtype=dtype)
        for fewest, budget in ((64, None), (4, 1), (4, 300)):
            with mock.patch.object(engine, "FEWEST_ROWS", fewest):
                found = transect.slice(network, transect.Plane(*case.plane()), budget=budget)
            faults = compare(found, case.tiling).faults
            if faults:
                faults = compare(found, case.tiling, undecidable(case, dtype)).faults
            assert not faults, f"seed {seed}: {faults[:5]}"


def _compared(dtype: torch.dtype, *steps: Step, corners: Corners = SQUARE, **groups: int) -> transect.Slice:
    """A network of two numbers over a polygon of them, sliced and compared; ``fewest`` rows of a group, ``budget``."""
    found = _sliced(dtype, steps, corners, **groups)
    assert not assert_same_tiling(found, restrict_to_plane(_case(steps, corners))).thin_cells
    return found


def _sliced(
    dtype: torch.dtype, steps: Sequence[Step], corners: Corners = SQUARE, fewest: int = 64, budget: int | None = None
) -> transect.Slice:
    case = _case(steps, corners)
    network = transect.capture(Described(steps, 1).to(dtype), case.origin[np.newaxis], dtype=dtype)
    with mock.patch.object(engine, "FEWEST_ROWS", fewest):
        return transect.slice(network, transect.Plane(case.origin, case.u, case.v, case.corners), budget=budget)


def _case(steps: Sequence[Step], corners: Corners) -> PlaneCase:
    return PlaneCase("", tuple(steps), np.zeros(2), np.array([1.0, 0]), np.array([0, 1.0]), np.array(corners, float))


def _layers(*weights: list, bias: list | None = None) -> tuple[Step, ...]:
    return chain(*(affine(0, weight, *([bias] if bias and not k else [])) for k, weight in enumerate(weights)))


@DTYPES
def test_without_biases_all_borders_pass_through_zero(dtype: torch.dtype):
    found = _compared(dtype, *_layers([[1, 0], [0, 1], [1, 1], [1, -2]], [[1, -1, 2, -1], [-1, 2, 1, -3]], [[1, 1]]))
    assert not found.unresolved


@DTYPES
def test_copies_scaled_and_negated_bend_on_the_same_borders(dtype: torch.dtype):
    weights = [[1, 2], [1, 2], [2, 4], [-1, -2], [0.5, 1], [0, 0]]
    found = _compared(dtype, *_layers(weights, [[1, 1, 1, 1, 1, 1]], bias=[0.25, 0.25, 0.5, -0.25, 0.125, 0]))
    assert found.regions == 2
    assert [found.edges.bending(k) for k in np.flatnonzero(found.edges.right >= 0)] == [[(0, k) for k in range(5)]]


@DTYPES
def test_a_corner_of_the_domain_on_a_border(dtype: torch.dtype):
    found = _compared(dtype, *_layers([[1, 1], [1, -1], [1, 3]], [[1, 1, 1]], bias=[0, 0, -4]))
    assert (found.regions, found.vertices) == (4, 5)


@DTYPES
def test_an_edge_of_the_domain_along_a_border(dtype: torch.dtype):
    found = _compared(dtype, *_layers([[1, 0], [-1, 0], [0, 1]], [[1, 1, 1]], bias=[-1, -1, 0.5]))
    assert (found.regions, found.vertices) == (2, 6)


@DTYPES
def test_three_borders_through_one_point(dtype: torch.dtype):
    weights, bias = [[1, 0], [0, 1], [1, 1]], [-0.25, 0.5, 0.25]
    found = _compared(dtype, *_layers(weights, [[1, 1, 1]], bias=bias))
    assert found.regions == 6
    assert np.bincount(found.polygons.corner).max() == 6


def test_parallel_borders_closer_than_rounding_are_one():
    steps = _layers([[1, 0.5], [1, 0.5]], [[1, 1]], bias=[1 / 3, np.nextafter(1 / 3, 1)])
    assert _sliced(torch.float64, steps).regions == 2


@DTYPES
def test_parallel_borders_further_apart_than_rounding_are_two(dtype: torch.dtype):
    apart = 2.0**-40 if dtype == torch.float64 else 2.0**-14
    assert _sliced(dtype, _layers([[1, 0.5], [1, 0.5]], [[1, 1]], bias=[0.25, 0.25 + apart])).regions == 3


@DTYPES
def test_a_window_of_dead_units_changes_its_winner_beside_parts_of_cut_polygons(dtype: torch.dtype):
    """Where all are dead the first one wins; beyond a border of the second or third another one, which is cut again."""
    layer = affine(0, [[1, 0], [0, 1], [-1, 1]], [-0.25, -0.25, -0.25])
    found = _compared(dtype, layer, Relu((1,)), MaxOver((2,), (0,)), Reshape((3,), (1,)))
    assert (1, 0) in {bend for k in range(len(found.edges)) for bend in found.edges.bending(k) if len(
        found.edges.bending(k)) > 1}  # fmt: skip


@DTYPES
def test_the_larger_of_two_equal_values_has_no_border(dtype: torch.dtype):
    weights = [[1, 2], [2, 4]]
    steps = (*chain(affine(0, weights), relu_last=True), Maximum((2, 1)), affine(3, [[1, 1]]))
    found = _compared(dtype, *steps)
    assert found.regions == 2


@DTYPES
@pytest.mark.parametrize("fewest", [4, 64])
def test_seams_do_not_show(dtype: torch.dtype, fewest: int):
    weights = [[1, 0], [0, 1], [1, 1], [1, -1], [2, 1], [1, -2]]
    steps = _layers(
        weights, [[1, -1, 1, 1, -1, 1], [-1, 1, 2, -1, 1, 1]], [[1, -1]], bias=[0.2, -0.3, 0.1, 0, 0.4, 0.3]
    )
    plain = _compared(dtype, *steps)
    parted = _compared(dtype, *steps, fewest=fewest, budget=1)
    assert (plain.regions, plain.borders, plain.vertices) == (parted.regions, parted.borders, parted.vertices)
    torch.testing.assert_close(plain.border_length, parted.border_length)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore::transect.errors.UnresolvedWarning")
def test_borders_through_one_point_are_no_slivers_in_float32(seed: int):
    """Weights that are whole numbers have borders meet in single points all over the plane."""
    torch.manual_seed(seed)
    sizes = [(2, 8), (8, 8), (8, 8), (8, 2)]
    layers = [part for a, b in sizes for part in (torch.nn.Linear(a, b), torch.nn.ReLU())][:-1]
    model = torch.nn.Sequential(*layers)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.round(4 * weight))
    square = transect.Plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [(-2, -2), (2, -2), (2, 2), (-2, 2)])
    found, exact = (transect.slice(model, square, dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert (found.regions, found.borders, found.vertices) == (exact.regions, exact.borders, exact.vertices)
