"""Rows against traces and estimates taken one by one."""

from __future__ import annotations

import weakref

import pytest
import torch

import transect
from support.measured import APART, convolutional, mlp, path, paths, smooth
from transect import Path, measure
from transect.measures import BY_NAME
from transect.measuring.columns import BOUNDED, SCHEMA

pytestmark = pytest.mark.filterwarnings("ignore::transect.errors.RoundingWarning")

MODELS = {"mlp": mlp(), "cnn": convolutional()}


@pytest.fixture(scope="module")
def networks():
    return {name: transect.capture(model, torch.zeros(6)) for name, model in MODELS.items()}


def row_by_hand(trace) -> dict[str, float]:
    """What the columns mean, by the methods of a trace."""
    return {
        "segments": len(trace.length),
        "length": float(trace.path.lengths.sum()),
        "crossings": int(trace.crossings.sum()),
        "anchor_crossings": trace.anchor_crossings,
        "path_crossings": trace.path_crossings,
        "linear_crossings": int(trace.linear_crossings.sum()),
        "density": int(trace.crossings.sum()) / float(trace.length.sum()),
        "flips": float(trace.flips.sum()),
        "absolute_deviation": float(trace.per_path(trace.across_outputs(trace.absolute_deviation()))),
        "absolute_deviation_max": float(trace.per_path(trace.across_outputs(trace.absolute_deviation(), "max"))),
        "mean_deviation": float(trace.per_length(trace.across_outputs(trace.absolute_deviation()))),
        "mean_deviation_max": float(trace.per_length(trace.across_outputs(trace.absolute_deviation(), "max"))),
        "centred_deviation": float(trace.per_path(trace.across_outputs(trace.centred_deviation()))),
        "deviation_norm": float(trace.per_path(trace.deviation_norm())),
        "total_variation": float(trace.per_path(trace.across_outputs(trace.total_variation()))),
        "excess_variation": float(trace.per_path(trace.across_outputs(trace.excess_variation()))),
        "arc_length": float(trace.per_path(trace.arc_length())),
        "slope_similarity": float(trace.slope_similarity().nanmean()),
        "unresolved": len(trace.unresolved),
        "method": "exact",
    }


def without_seconds(table):
    return table.drop_columns(APART)


def test_alone_every_row_is_that_of_the_trace_bit_for_bit(networks):
    given = paths(5)
    found = measure(MODELS, given, together=1, progress=False)
    assert [(row["model"], row["path"]) for row in found.rows] == [(name, k) for name in MODELS for k in range(5)]
    for row in found.rows:
        expected = row_by_hand(transect.trace(networks[row["model"]], given[row["path"]]))
        assert {name: row[name] for name in expected} == expected


def test_together_every_row_is_that_of_the_traces_of_its_group(networks):
    given = paths(7)
    found = measure(networks["mlp"], given, together=3, std=2.0, progress=False)
    traces = [one for low in (0, 3, 6) for one in transect.trace(networks["mlp"], given[low : low + 3])]
    for row, trace in zip(found.rows, traces, strict=True):
        expected = row_by_hand(trace)
        assert {name: row[name] for name in expected} == expected
    alone = measure(networks["mlp"], given, together=1, std=2.0, progress=False)
    for name in BOUNDED:
        assert found.column(name) == pytest.approx(alone.column(name), rel=1e-9)


def test_bounds_hold_what_another_way_of_tracing_gives(networks):
    found = measure(networks, paths(4), std=[1.0, 2.0, 3.0], progress=False)
    single = measure(networks, paths(4), together=1, std=[1.0, 2.0, 3.0], progress=False)
    for name in BOUNDED:
        low, value, high = (found.column(name + end) for end in ("_low", "", "_high"))
        assert (low <= value).all()
        assert (value <= high).all()
        assert (low <= single.column(name)).all()
        assert (single.column(name) <= high).all()
        if name not in BY_NAME or BY_NAME[name].total == "sum":  # one narrow region may decide a maximum
            assert (high - low <= 1e-9 * value).all()


@pytest.mark.parametrize("model", [mlp(40), smooth()], ids=["mlp", "smooth"])
def test_estimates_are_those_of_estimate_and_their_intervals_hold_the_exact_values(model):
    given = paths(4)
    found = measure(model, given, method="estimate", rtol=5e-3, progress=False)
    for row, one in zip(found.rows, transect.estimate(model, given, rtol=5e-3), strict=True):
        deviation = one.across_outputs(one.absolute_deviation())
        assert row["mean_deviation"] == float(one.per_length(deviation))
        assert (row["samples"], row["converged"]) == (int(one.samples.sum()), bool(one.converged.all()))
        assert (row["crossings"], row["density"], row["slope_similarity"], row["method"]) == (*[None] * 3, "estimate")
        if one.uncounted:
            assert row["flips"] is None
        else:
            assert row["flips"] == float(one.flips.sum())
    if isinstance(model[1], torch.nn.ReLU):
        exact = measure(model, given, progress=False)
        for name in ("flips", "mean_deviation", "arc_length"):
            value = exact.column(name)
            assert (found.column(f"{name}_low") <= value).all()
            assert (value <= found.column(f"{name}_high")).all()


def test_a_generator_a_mapping_and_a_list_give_the_same_rows(networks):
    given = paths(6)
    listed = measure(networks, given, together=4, progress=False).table
    streamed = measure(networks, (one for one in given), together=4, progress=False).table
    named = measure(networks, {f"p{k}": one for k, one in enumerate(given)}, together=4, progress=False).table
    assert without_seconds(streamed).equals(without_seconds(listed))
    assert named["path_name"].to_pylist() == [f"p{k}" for k in range(6)] * 2
    assert named.drop_columns([*APART, "path_name"]).equals(listed.drop_columns([*APART, "path_name"]))
    assert listed.schema.equals(SCHEMA)


@pytest.mark.parametrize("models", [1, 2])
def test_of_a_generator_only_a_chunk_is_alive(models):
    alive: weakref.WeakSet[Path] = weakref.WeakSet()
    most = 0

    def generated():
        nonlocal most
        for seed in range(30):
            made = path(seed, 3)
            alive.add(made)
            most = max(most, len(alive))
            yield made
            del made

    found = measure([mlp(3, seed) for seed in range(models)], generated(), together=4, progress=False)
    assert len(found) == 30 * models
    assert most <= 10  # the first, a chunk at work and the next


def test_captured_networks_chosen_outputs_and_dtypes():
    given = paths(3)
    network = transect.capture(mlp(), given[0].anchors[0], output="2")
    found = measure({"hidden": network}, given, outputs=[1, 4], together=1, progress=False)
    expected = [transect.trace(network, one, outputs=[1, 4]) for one in given]
    assert found.column("crossings").tolist() == [int(one.crossings.sum()) for one in expected]
    assert found.column("arc_length").tolist() == [float(one.arc_length().sum()) for one in expected]
    fast = measure(mlp(), given, dtype=torch.float32, progress=False)
    assert fast.column("mean_deviation") == pytest.approx(
        measure(mlp(), given, progress=False).column("mean_deviation")
    )


def test_threads_are_given_back_and_do_not_change_a_row():
    given = paths(3)
    one = measure(mlp(60), given, progress=False).table
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = measure(mlp(60), given, progress=False).table
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert without_seconds(one).equals(without_seconds(two))


def test_a_single_path_and_a_single_module_are_enough():
    found = measure(mlp(), path(0), progress=False)
    assert found.models == ("Sequential",)
    assert len(found) == 1
