"""From networks and paths to rows, and from rows to a row of the run table: by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import transect
from transect.errors import UnsupportedModel
from transect.paths import Path
from transect.study.columns import PATH_SCHEMA, RUN_SCHEMA
from transect.study.config import MeasureConfig
from transect.study.running.measuring import measure_paths
from transect.study.running.tables import summed_up, with_scaled

ROWS = [
    {"segments": 2, "path_length": 4.0, "absolute_deviation": 2.0, "crossings": 8, "density": 2.0, "flips": 9.0,
     "slope_similarity": 0.5, "anchor_crossings": 1, "unresolved": 2},
    {"segments": 2, "path_length": 4.0, "absolute_deviation": 5.0, "crossings": 12, "density": 3.0, "flips": 14.0,
     "slope_similarity": None, "anchor_crossings": 0, "unresolved": 0},
]  # fmt: skip


def absolute_value() -> nn.Module:
    """|x|, twice: its second output is -2 |x|."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model[2].weight.copy_(torch.tensor([[1.0, 1.0], [-2.0, -2.0]]))
    return model.eval()


PATH = Path(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), closed=True)


def test_means_and_spreads_by_hand():
    found = summed_up(with_scaled(ROWS, 4.0))
    expected = {
        "paths": 2, "segments": 4, "path_length": 4.0, "absolute_deviation": 3.5, "scaled_deviation": 3.5 / 4,
        "crossings": 10.0, "density": 2.5, "slope_similarity": 0.5, "anchor_crossings": 0.5, "flips": 11.5,
        "unresolved": 2,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["absolute_deviation_std"] == pytest.approx(np.std([2, 5], ddof=1))
    assert found["scaled_deviation_std"] == pytest.approx(np.std([2, 5], ddof=1) / 4)
    assert found["crossings_std"] == pytest.approx(np.std([8, 12], ddof=1))
    assert found["slope_similarity_std"] is None
    assert found["arc_length"] is None


def test_the_columns_are_those_of_the_tables():
    first = RUN_SCHEMA.names.index("paths")
    assert set(summed_up(with_scaled(ROWS, 1.0))) == set(RUN_SCHEMA.names[first:])
    columns = set(PATH_SCHEMA.names) - {"scaled_deviation"}
    for method in ("exact", "estimate"):
        assert set(measure_paths(absolute_value(), [PATH], MeasureConfig(method=method))[0]) <= columns


def test_exact_rows_in_closed_form():
    """On each of the two segments, of length 2, the chord is 1 and f is |2t - 1|: 2 * integral (1 - f) dt = 1."""
    rows = measure_paths(absolute_value(), [PATH, PATH], MeasureConfig())
    assert len(rows) == 2
    for row in rows:
        assert row["absolute_deviation"] == pytest.approx(2 * np.hypot(1, 2))
        assert row["mean_deviation"] == pytest.approx(2 * np.hypot(1, 2) / 4)
        assert row["total_variation"] == pytest.approx(2 * np.hypot(2, 4))
        assert (row["crossings"], row["flips"], row["segments"]) == (2, 4, 2)
        assert (row["path_length"], row["density"]) == (4.0, 0.5)
        assert row["slope_similarity"] == pytest.approx(-1.0)
        assert row["unresolved"] == 0


def test_crossings_and_density_mean_the_same_in_a_trace_a_measurement_and_a_study():
    """The kink of |x| at 0 is on an anchor, and then inside of the segment from 3 to -1: 9 units of length in all."""
    model, path = absolute_value(), Path(torch.tensor([[-2.0], [0.0], [3.0], [-1.0]], dtype=torch.float64))
    trace = transect.trace(model, path)
    (measured,) = transect.measure(model, path, progress=False).rows
    (studied,) = measure_paths(model, [path], MeasureConfig())
    assert (int(trace.crossings.sum()), trace.anchor_crossings, trace.path_crossings) == (1, 1, 2)
    for row in (measured, studied):
        assert (row["crossings"], row["anchor_crossings"], row["path_crossings"]) == (1, 1, 2)
        assert row["density"] == float(trace.per_length(trace.crossings)) == pytest.approx(1 / 9)


def test_estimated_rows_have_deviations_and_flips_but_no_crossings():
    (row,) = measure_paths(absolute_value(), [PATH], MeasureConfig(method="estimate", rtol=1e-3))
    assert row["absolute_deviation"] == pytest.approx(2 * np.hypot(1, 2), rel=1e-3)
    assert row["flips_low"] <= 4 <= row["flips_high"]
    assert row["samples_taken"] >= 34
    assert "crossings" not in row


def test_the_faults_of_the_released_code_touch_the_deviation_only():
    right = measure_paths(absolute_value(), [PATH], MeasureConfig())[0]
    bound = measure_paths(absolute_value(), [PATH], MeasureConfig(upper_bound_integral=True))[0]
    # g = 1 - |2t - 1| is the tent: 2.0 as the bound (see test_legacy) against 1/2, so four times the deviation
    assert bound["absolute_deviation"] == pytest.approx(4 * right["absolute_deviation"])
    dropped = measure_paths(absolute_value(), [PATH], MeasureConfig(drop_last_region=True))[0]
    assert dropped["absolute_deviation"] == pytest.approx(right["absolute_deviation"] / 2)
    assert dropped["crossings"] == right["crossings"]
    assert "deviation_norm" not in dropped


def test_a_smooth_network_is_estimated_and_refused_exactly():
    model = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)).eval()
    (row,) = measure_paths(model, [PATH], MeasureConfig(method="estimate"))
    assert row["absolute_deviation"] > 0
    assert "flips" not in row
    with pytest.raises(UnsupportedModel, match="tanh"):
        measure_paths(model, [PATH], MeasureConfig())
