"""What holds for every measure: any cut of the runs, invariances, float64, and what its rounding bound promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from support.piecewise import Curve, curves, ends_of, measured, random_curve, runs_of
from transect.measures import MEASURES
from transect.measures.base import Ends, Reduced, Reducer, reducers_of

_LISTED = {measure.name: measure for measure in MEASURES if measure.reducer is not None}
_PER_OUTPUT = {name for name, measure in _LISTED.items() if measure.per == "output"}
_BESIDE = {"undecided_crossings", "slope_similarity_weighted", "slope_pairs", "slope_pairs_left_out"}
_CONTINUOUS = {name for name, measure in _LISTED.items() if measure.bounded}


class _Everything:
    """All default measures as one reducer."""

    def __init__(self, ends: Ends) -> None:
        self._parts: Sequence[Reducer] = reducers_of(ends)

    def update(self, run: object) -> None:
        for part in self._parts:
            part.update(run)  # type: ignore[arg-type]

    def results(self) -> Mapping[str, Reduced]:
        return {name: found for part in self._parts for name, found in part.results().items()}


def _assert_same(found: Mapping[str, Reduced], expected: Mapping[str, Reduced], factor: float = 1.0) -> None:
    """Equal within the stated rounding of both, all counts exactly."""
    for name, one in found.items():
        room = factor * (one.rounding + expected[name].rounding) if name in _CONTINUOUS else 1e-12
        difference = torch.where(one.value.isnan() & expected[name].value.isnan(), 0, one.value - expected[name].value)
        assert bool((difference.abs() <= room).all()), f"{name}: {one.value} is not {expected[name].value}"


def test_names_and_shapes_are_those_of_the_trace() -> None:
    found = measured(_Everything, [random_curve(seed, 5, 3) for seed in range(2)])
    assert set(found) == _LISTED.keys() | _BESIDE
    for name, one in found.items():
        assert one.value.shape == one.rounding.shape == ((2, 3) if name in _PER_OUTPUT else (2,))
        assert one.value.dtype == one.rounding.dtype == torch.float64


@settings(deadline=None)
@given(curves(), st.lists(st.integers(0, 40), max_size=8))
def test_cutting_the_runs_changes_nothing(some: list[Curve], cuts: list[int]) -> None:
    whole, cut = measured(_Everything, some), measured(_Everything, some, cuts)
    for name, one in whole.items():
        torch.testing.assert_close(cut[name].value, one.value, rtol=1e-13, atol=0, equal_nan=True)
        torch.testing.assert_close(cut[name].rounding, one.rounding, rtol=1e-13, atol=0, equal_nan=True)


@settings(deadline=None)
@given(curves(most=1))
def test_one_row_more_at_a_time_changes_nothing(some: list[Curve]) -> None:
    _assert_same(measured(_Everything, some, cuts=range(99)), measured(_Everything, some), factor=0.05)


@settings(deadline=None)
@given(curves())
def test_packing_segments_together_changes_nothing(some: list[Curve]) -> None:
    together = measured(_Everything, some)
    for row, curve in enumerate(some):
        for name, one in measured(_Everything, [curve]).items():
            torch.testing.assert_close(together[name].value[row], one.value[0], rtol=1e-13, atol=0, equal_nan=True)


@settings(deadline=None)
@given(curves())
def test_reversal_changes_no_measure(some: list[Curve]) -> None:
    _assert_same(measured(_Everything, [curve.reversed() for curve in some]), measured(_Everything, some))


@settings(deadline=None)
@given(curves(), st.floats(0.05, 0.95))
def test_splitting_keeps_variation_arc_length_and_inner_crossings(some: list[Curve], at: float) -> None:
    whole = measured(_Everything, some)
    parts = measured(_Everything, [part for c in some for part in (c.part(0.0, at), c.part(at, 1.0))])
    for name in ("total_variation", "arc_length", "crossings", "linear_crossings"):
        joined, room = (v.unflatten(0, (-1, 2)).sum(1) for v in (parts[name].value, parts[name].rounding))
        assert bool(((joined - whole[name].value).abs() <= room).all()), name


@settings(deadline=None)
@given(curves(), st.floats(0.05, 0.95))
def test_a_knot_without_a_bend_changes_only_what_is_counted(some: list[Curve], at: float) -> None:
    found, expected = measured(_Everything, [_with_idle_knot(c, at) for c in some]), measured(_Everything, some)
    assert torch.equal(found["crossings"].value, expected["crossings"].value + 1)
    kept = _CONTINUOUS | {"linear_crossings"}
    _assert_same({k: v for k, v in found.items() if k in kept}, expected)


def _with_idle_knot(curve: Curve, at: float) -> Curve:
    row = int(np.searchsorted(curve.t, at))
    return replace(curve, t=np.insert(curve.t, row, at), f=np.insert(curve.f, row, curve.at(at), axis=0))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 4), st.sampled_from([2.0**-52, 2.0**-23]))
def test_an_affine_function_measures_zero_within_its_rounding(
    seed: int, regions: int, outputs: int, eps: float
) -> None:
    affine = _disturbed(random_curve(seed, regions, outputs, kinks=0.0), eps, 1.0, seed)
    found = measured(_Everything, [affine], eps=eps)
    for name in ("absolute_deviation", "deviation_norm", "excess_variation"):
        assert bool((found[name].value <= found[name].rounding).all()), name
    assert int(found["linear_crossings"].value) == 0


@settings(deadline=None)
@given(curves(), st.sampled_from([2.0**-52, 2.0**-23]), st.integers(0, 10**6))
def test_outputs_wrong_by_the_assumed_rounding_stay_within_the_bound(some: list[Curve], eps: float, seed: int) -> None:
    true = measured(_Everything, some)
    found = measured(_Everything, [_disturbed(curve, eps, 15.0, seed) for curve in some], eps=eps)
    for name in _CONTINUOUS:
        error = (found[name].value - true[name].value).abs()
        assert bool((error <= found[name].rounding + true[name].rounding).all()), f"{name}: {error}"


def _disturbed(curve: Curve, eps: float, times: float, seed: int) -> Curve:
    """Every output off by up to ``times`` eps max|f|, now this way and now that."""
    signs = np.random.default_rng(seed).choice([-1, 1], curve.f.shape)
    return replace(curve, f=curve.f + signs * times * eps * np.abs(curve.f).max())


@settings(deadline=None)
@given(curves())
def test_inequalities_between_the_measures(some: list[Curve]) -> None:
    found = {name: one.value for name, one in measured(_Everything, some).items()}
    ends = ends_of(some)
    direct = (ends.end - ends.start).abs()
    slack = 1 + 1e-12
    _assert_below(direct, found["total_variation"] * slack)
    _assert_below(direct.norm(dim=1), found["arc_length"] * slack)
    _assert_below(found["total_variation"].norm(dim=1), found["arc_length"] * slack)  # Minkowski
    _assert_below(found["arc_length"], found["total_variation"].sum(1) * slack)
    _assert_below(found["absolute_deviation"].norm(dim=1), found["deviation_norm"] * slack)
    _assert_below(found["deviation_norm"], found["absolute_deviation"].sum(1) * slack)


def _assert_below(low: Tensor, high: Tensor) -> None:
    assert bool((low <= high + 1e-14 * high.abs().max()).all()), f"{low} exceeds {high}"


@pytest.mark.parametrize("factor", [2.0**-60, 2.0**60])
def test_scaling_the_outputs_by_a_power_of_two_scales_or_keeps_every_measure_exactly(factor: float) -> None:
    curve = random_curve(7, 9, 3)
    found = measured(_Everything, [replace(curve, f=curve.f * factor)])
    for name, one in measured(_Everything, [curve]).items():
        scales = name in _LISTED and _LISTED[name].scales
        assert torch.equal(found[name].value, one.value * factor if scales else one.value), name


def test_float32_outputs_are_summed_in_float64() -> None:
    curve = random_curve(5, 2000, 3)
    single = replace(curve, f=curve.f.astype(np.float32).astype(np.float64))
    reducer = _Everything(ends_of([single]))
    for run in runs_of([single], dtype=torch.float32):
        assert run.outputs.dtype == torch.float32
        reducer.update(run)
    for name, one in measured(_Everything, [single]).items():
        assert torch.equal(reducer.results()[name].value, one.value), name


def test_a_segment_without_runs_yet_measures_nothing() -> None:
    results = _Everything(ends_of([random_curve(0, 3, 2)])).results()
    for name in _CONTINUOUS - {"excess_variation"} | {"crossings", "slope_pairs"}:
        assert bool((results[name].value == 0).all()), name


def test_outputs_that_cancel_inside_the_network_have_the_bounds_they_deserve() -> None:
    """Where rounding inside the network exceeds that of the outputs, it sets the bounds."""
    curve, ends = random_curve(1, 4, 2), ends_of([random_curve(1, 4, 2)])
    found = [_Everything(replace(ends, deviation=deviation)) for deviation in (0.0, 1e-6)]
    for everything in found:
        for run in runs_of([curve]):
            everything.update(run)
    exact, doubtful = (everything.results() for everything in found)
    for name in _CONTINUOUS:
        assert bool((exact[name].rounding < 1e-12).all())
        assert bool((doubtful[name].rounding >= 2 * 16 * 1e-6 * 0.9).all())
