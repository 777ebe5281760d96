"""From traces to columns, against sums written out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from transect.paths import Path
from transect.storage.tables import RUN_SCHEMA
from transect.study.measuring import columns, measure_paths


def fake_trace(length, deviation, crossings, anchor_crossings, similarity, unresolved=()):
    """What a trace of one path offers, from lists."""
    tensor = torch.tensor
    return SimpleNamespace(
        length=tensor(length, dtype=torch.float64),
        crossings=tensor(crossings),
        flips=tensor(crossings) + 1,
        linear_crossings=tensor(crossings) - 1,
        anchor_crossings=anchor_crossings,
        path_crossings=sum(crossings) + anchor_crossings,
        unresolved=list(unresolved),
        absolute_deviation=lambda: tensor(deviation, dtype=torch.float64),
        total_variation=lambda: 2 * tensor(deviation, dtype=torch.float64),
        deviation_norm=lambda: tensor(length, dtype=torch.float64) / 2,
        slope_similarity=lambda: tensor(similarity, dtype=torch.float64),
        across_outputs=lambda values, how: {"l2": values.norm(dim=1)}[how],
    )


TRACES = [
    fake_trace([1.0, 3.0], [[1.0, 0.0], [0.0, 1.0]], [3, 4], 1, [0.5, math.nan], unresolved=[1, 2]),
    fake_trace([2.0, 2.0], [[3.0, 4.0], [0.0, 0.0]], [10, 2], 0, [math.nan, math.nan]),
]


def test_columns_by_hand():
    found = columns(TRACES, logit_std=4.0)
    expected = {
        "paths": 2, "segments": 4, "path_length": 4.0, "absolute_deviation": (2 + 5) / 2,
        "normalised_deviation": 3.5 / 4, "crossings": (8 + 12) / 2, "density": (2 + 3) / 2,
        "total_variation": 7.0, "deviation_norm": 2.0, "slope_similarity": 0.5, "anchor_crossings": 0.5,
        "flips": (9 + 14) / 2, "linear_crossings": (5 + 10) / 2, "unresolved": 2,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["absolute_deviation_std"] == pytest.approx(np.std([2, 5], ddof=1))
    assert found["normalised_deviation_std"] == pytest.approx(np.std([2, 5], ddof=1) / 4)
    assert found["crossings_std"] == pytest.approx(np.std([8, 12], ddof=1))
    assert found["density_std"] == pytest.approx(np.std([2, 3], ddof=1))
    assert math.isnan(found["slope_similarity_std"])


def test_the_columns_are_those_of_the_table():
    first = RUN_SCHEMA.names.index("paths")
    assert set(columns(TRACES, 1.0)) == set(RUN_SCHEMA.names[first:])


def test_the_engine_is_asked_for_what_the_table_says():
    """|x| on a closed path over the kink: known in closed form."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model[2].weight.copy_(torch.tensor([[1.0, 1.0]]))
    path = Path(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), closed=True)
    found = measure_paths(model, [path, path], logit_std=2.0)
    # on each of the two segments, of length 2, the chord is 1 and f is |2t - 1|: deviation 2 * integral (1 - f) dt = 1
    assert found["absolute_deviation"] == pytest.approx(2.0)
    assert found["normalised_deviation"] == pytest.approx(1.0)
    assert found["absolute_deviation_std"] == pytest.approx(0.0)
    assert (found["crossings"], found["flips"], found["segments"]) == (2, 4, 4)
    assert found["density"] == pytest.approx(2 / 4)
    assert found["total_variation"] == pytest.approx(4.0)
    assert found["slope_similarity"] == pytest.approx(-1.0)
