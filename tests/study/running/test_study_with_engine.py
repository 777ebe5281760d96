"""One run from data to row with the real engine, against a dense grid over the weights it left behind."""

from __future__ import annotations

import math

import pytest
import safetensors.torch
import torch

from support.inline import Inline
from transect.study.columns import RUN_SCHEMA
from transect.study.config import StudyConfig
from transect.study.data.load import load_data
from transect.study.models import build_model
from transect.study.running.folders import run_folder
from transect.study.running.sweep import run_study
from transect.tables.files import read_table

SAMPLES = 4001
STUDY = StudyConfig.parse(
    {
        "data": {"train_samples": 60, "test_samples": 40, "label_noise": 0.0},
        "model": {"width": 7},
        "train": {"epochs": 20, "batch_size": 20, "learning_rate": 0.1, "seed": 2},
        # every test sample, so that the choice is known
        "paths": {"paths": 40, "anchors": 5, "shift": 1.5, "scale": 0.3, "split": "test"},
        "measures": [{"method": "exact"}, {"method": "estimate", "rtol": 1e-3}],
    }
)


def circle(signal: torch.Tensor) -> torch.Tensor:
    """The anchors of a closed circle in (shift, scale), one after the other, ``(5, 40)``; edges keep their value."""
    anchors = []
    for k in range(5):
        shift, scale = 1.5 * math.cos(2 * math.pi * k / 5), 1 + 0.3 * math.sin(2 * math.pi * k / 5)
        places = [min(max(i - shift, 0.0), 39.0) for i in range(40)]
        left = [min(int(place), 38) for place in places]
        values = [(1 - (p - i)) * signal[i] + (p - i) * signal[i + 1] for p, i in zip(places, left)]
        anchors.append(scale * torch.stack(values))
    return torch.stack(anchors)


def on_a_grid(model: torch.nn.Module, anchors: torch.Tensor) -> dict[str, float]:
    """Length, deviation, variation and crossings of a closed path, by sampling every segment densely."""
    found = dict.fromkeys(["path_length", "absolute_deviation", "total_variation", "flips"], 0.0)
    t = torch.linspace(0, 1, SAMPLES, dtype=torch.float64)[:, None]
    for start, end in zip(anchors, anchors.roll(-1, 0)):
        points = start + t * (end - start)
        length = float((end - start).norm())
        outputs = model(points)
        bend = (outputs - outputs[0] - t * (outputs[-1] - outputs[0])).abs()
        first = model.linear1(points)
        second = model.linear2(first.relu())
        found["path_length"] += length
        found["absolute_deviation"] += length * float(torch.trapezoid(bend, dx=1 / (SAMPLES - 1), dim=0).norm())
        found["total_variation"] += float(outputs.diff(dim=0).abs().sum(0).norm())
        found["flips"] += sum(int(((z > 0)[1:] != (z > 0)[:-1]).sum()) for z in (first, second))
    return found


def test_the_measures_of_a_run_are_those_of_a_dense_grid(tmp_path):
    row, estimated = read_table(run_study(STUDY, tmp_path / "study", Inline(), cache=tmp_path), RUN_SCHEMA).to_pylist()
    (network,) = STUDY.networks()
    model = build_model(network.model, (40,), 10, seed=0)
    weights = run_folder(tmp_path / "study", network).weights("last")
    model.load_state_dict(safetensors.torch.load_file(weights))
    inputs = load_data(STUDY.data[0], tmp_path).test.inputs.double()
    with torch.no_grad():
        grids = [on_a_grid(model.double(), circle(signal)) for signal in inputs]
    expected = {name: torch.tensor([grid[name] for grid in grids], dtype=torch.float64) for name in grids[0]}
    for name in ("path_length", "absolute_deviation", "total_variation"):
        assert row[name] == pytest.approx(float(expected[name].mean()), rel=1e-5)
        assert estimated[name] == pytest.approx(float(expected[name].mean()), rel=1e-2)
    assert row["absolute_deviation_std"] == pytest.approx(float(expected["absolute_deviation"].std()), rel=1e-4)
    assert row["flips"] == pytest.approx(float(expected["flips"].mean()), abs=0.2)  # a grid may miss a pair of flips
    assert row["flips"] >= float(expected["flips"].mean()) > 5
    assert row["density"] == pytest.approx(row["crossings"] / row["path_length"], rel=0.2)
    assert (row["paths"], row["segments"], row["unresolved"]) == (40, 200, 0)
    assert (row["method"], estimated["method"]) == ("exact", "estimate")
    assert (estimated["crossings"], estimated["density"], estimated["slope_similarity"]) == (None, None, None)
