"""The scripts of ``benchmarks/`` and the figures of their page: what they count and keep, never how long it takes."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import transect

ROOT = Path(__file__).parents[2]


def _script(name: str, folder: str = "benchmarks") -> ModuleType:
    place = str(ROOT / folder)
    if place not in sys.path:
        sys.path.append(place)
    return importlib.import_module(name)


environment, options = _script("environment"), _script("options")
processes, timing = _script("processes"), _script("timing")
networks, noise, training = _script("networks"), _script("noise"), _script("training")
WITH_TABLES = (
    "against_marching against_regioncam against_sampling convolutions estimate interval_coverage jumps "
    "linear_cost "
    "measure_workers on_gpu packed_paths resnet50_at_224 trace_against_forward where_time_goes zoo"
).split()


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environment, "RESULTS", tmp_path)
    return tmp_path


def _hinges(*thresholds: float) -> nn.Module:
    """On the line, a unit that turns at each threshold."""
    model = nn.Sequential(nn.Linear(1, len(thresholds)), nn.ReLU(), nn.Linear(len(thresholds), 1))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.copy_(-torch.tensor(thresholds))
    return model.eval()


@pytest.mark.parametrize("name", WITH_TABLES)
def test_tables_of_the_kept_rows_have_a_cell_for_every_heading(name: str):
    lines = [line for line in _script(name).table().splitlines() if line.startswith("|")]
    widths = [line.count("|") for line in lines]
    borders = [index for index, line in enumerate(lines) if line.startswith("|---")]
    assert all(widths[border] == widths[border - 1] for border in borders)
    assert len(set(widths)) <= len(borders)
    assert all(len(row["environment"]["date"]) == 25 for row in environment.read_rows(name).values())


@pytest.mark.parametrize("name", [name for name in WITH_TABLES if name not in ("convolutions", "zoo")])
def test_a_table_without_rows_says_so(name: str, results: Path):
    assert "easured" in _script(name).table()


def test_rows_are_kept_as_they_come_and_only_missing_ones_are_made_again(results: Path, tmp_path: Path, capfd):
    script = tmp_path / "script.py"
    script.write_text("import json, sys\nassert sys.argv[2] != 'bad'\nprint(json.dumps({'case': sys.argv[2]}))\n")
    assert processes.run_alone("some", str(script), ["one", "bad", "two"]) == 1
    assert "bad: FAILED" in capfd.readouterr().err
    assert [row["case"] for row in json.loads((results / "some.json").read_text())["rows"]] == ["one", "two"]
    given = options.parser("Some benchmark.", ["one", "bad", "two"])
    assert options.wanted("some", given.parse_args(["--only-missing"])) == ["bad"]
    assert options.wanted("some", given.parse_args(["--cases", "one", "bad"])) == ["one", "bad"]


def test_marching_counts_the_turns_of_a_function_that_has_them_where_we_know():
    marching = _script("against_marching")
    path = transect.Path([[0.0], [1.0], [0.4]])
    counted = marching.march(_hinges(0.25, 0.5, 0.75).double(), path, torch.float64, 1e-11)
    assert counted.tolist() == [3, 2]


def test_a_grid_shows_borders_flips_and_deviation_of_a_function_we_know():
    sampling = _script("against_sampling")
    path = transect.Path(torch.tensor([[0.0], [1.0]], dtype=torch.float64))
    path = transect.Path(path.anchors.reshape(2, 1, 1, 1))
    model = nn.Sequential(nn.Flatten(), _hinges(0.26, 0.27, 0.76)).double()
    borders, flips, outputs = sampling.sample(model, path, 5)  # both hinges at a quarter lie between two points
    assert (borders, flips) == (2, 3)
    borders, flips, outputs = sampling.sample(model, path, 2001)
    assert (borders, flips) == (3, 3)
    exact = float(transect.trace(model, path).absolute_deviation())
    assert sampling.deviation(outputs, path.length) == pytest.approx(exact, rel=1e-4)


def test_operations_are_counted_for_what_they_are_there_for():
    purpose_of = _script("where_time_goes").purpose_of
    expected = {
        "aten::_slow_conv2d_forward": "products", "aten::mkldnn_convolution": "products", "aten::addmm": "products",
        "aten::index_select": "interpolation", "aten::lerp_": "interpolation", "aten::_index_put_": "interpolation",
        "aten::gt": "search", "aten::nonzero": "search", "aten::bitwise_xor": "search", "aten::copy_": "copies",
        "aten::clamp_min_": "bending", "aten::as_strided": "other operations",
    }  # fmt: skip
    assert {operation: purpose_of(operation) for operation in expected} == expected


def test_shares_of_a_trace_add_up_to_all_of_it(monkeypatch: pytest.MonkeyPatch):
    where, against = _script("where_time_goes"), _script("trace_against_forward")
    case = against.Case(lambda: networks.cnn1d(4), lambda: noise.polyline(2, (40,)))
    monkeypatch.setitem(against.CASES, "small", case)
    row = where.row_of("small")
    assert sum(row["shares"].values()) == pytest.approx(1.0)
    assert row["shares"]["products"] > 0
    assert row["crossings"] > 10


def test_the_forward_pass_gets_the_inputs_at_all_knots():
    against = _script("trace_against_forward")
    trace = transect.trace(_hinges(0.25, 0.5), transect.Path([[0.0], [1.0], [0.0]]))
    assert against._knots(trace).flatten().tolist() == [0.0, 0.25, 0.5, 1.0, 1.0, 0.5, 0.25, 0.0]


def test_marching_and_tracing_find_the_same_on_a_resnet_and_both_are_in_the_row():
    marching = _script("against_marching")
    row = marching.row_of("some", marching.Case(1, lambda: noise.short_segments(1 / 2000)), pairs=1)
    assert row["crossings"] == row["marched"] > 0
    assert row["segments_that_agree"] == row["segments"] == 8


def test_one_call_for_all_paths_finds_what_one_call_a_segment_does():
    packed = _script("packed_paths")
    signals = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    data = training.Data(signals, torch.zeros(3), signals, torch.zeros(3))
    row = packed.row_of("some", networks.mlp(40, 20, 20, 10), data, count=3, pairs=1)
    assert row["segments"] == 24
    assert row["crossings"] == row["crossings_one_by_one"] > 0


def test_the_wide_angle_is_135_degrees_between_inputs_of_about_one_length():
    start, end = noise.wide_angle(1.0, (3, 64, 64)).anchors.flatten(1)
    cosine = float(start @ end / (start.norm() * end.norm()))
    assert math.degrees(math.acos(cosine)) == pytest.approx(135, abs=1.5)
    assert float(end.norm() / start.norm()) == pytest.approx(1, abs=0.03)


def test_batch_norm_statistics_are_those_of_the_inputs():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))
    images = 3 + torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = networks.with_statistics(model, images)(images)
    assert not model.training
    assert outputs.mean((0, 2, 3)).abs().max() < 1e-2  # running variances divide by n - 1
    assert (outputs.var((0, 2, 3)) - 1).abs().max() < 1e-2


def test_label_noise_changes_exactly_so_many_labels():
    labels = torch.arange(200) % training.CLASSES
    noisy = training._noisy(labels, 0.15)
    assert int((noisy != labels).sum()) == 30
    assert set(noisy.tolist()) <= set(range(training.CLASSES))


def test_images_are_read_class_by_class_and_normalised(tmp_path: Path):
    from PIL import Image

    for part, classes in (("train", {"b": 51, "a": 255}), ("test", {"a": 0, "b": 102})):
        for name, value in classes.items():
            (tmp_path / part / name).mkdir(parents=True)
            Image.fromarray(np.full((4, 4, 3), value, dtype=np.uint8)).save(tmp_path / part / name / "0.png")
    data = training.images(tmp_path, train=2, test=2)
    assert data.labels.tolist() == [0, 1]
    assert data.train.shape == (2, 3, 4, 4)
    expected = [(value - 0.4914) / 0.2470 for value in (1.0, 0.2)]  # CIFAR-10's first channel
    assert data.train[:, 0, 0, 0].tolist() == pytest.approx(expected, rel=1e-5)


def test_an_estimate_is_made_again_when_a_setting_is_another_one(results: Path):
    estimate = _script("estimate")
    environment.write_row("estimate", {"case": "some", "paths": 4, "rtol": 1e-2})
    assert estimate.done("some", {"paths": 4, "rtol": 1e-2})
    assert not estimate.done("some", {"paths": 4, "rtol": 1e-3})
    assert not estimate.done("other", {})


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_the_peak_holds_what_was_freed_before_the_end():
    with timing.Peak() as peak:
        held = np.ones(2**25)  # 256 MiB, touched
        del held
    assert 250 < peak.mib < 300


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_benchmark_says_so_and_ends(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(sys, "argv", ["on_gpu.py"])
    _script("on_gpu").main()
    assert capsys.readouterr().out == "left out: no CUDA GPU is at hand\n"
    assert _script("on_gpu").table() == "No figures of a GPU have been measured yet."


def test_figures_are_small_and_left_out_where_nothing_is_measured():
    from transect.plots.style import render

    drawing = _script("update_performance_figures", "docs")
    timed = [
        {"case": f"net{index}{suffix}", "ratio": 0.5, "ratios": [0.4, 0.5, 0.7]}
        for index in range(8)
        for suffix in ("", "-float32")
    ]
    assert len(render(drawing.forward_ratio(timed), "png")) < 150_000
    assert drawing.forward_ratio([{"case": "once", "ratio": None, "ratios": []}]) is None
    assert drawing.against_others([], []) is None
    assert drawing.time_a_crossing([]) is None


def test_a_made_part_takes_its_place_in_the_page_and_leaves_the_rest():
    page = "a\n<!-- x_figure:begin -->\nold\n<!-- x_figure:end -->\nb <!-- y_figure:begin -->\n<!-- y_figure:end -->\n"
    made = _script("pages", "docs").filled(page, {"x_figure": "new", "z": "nowhere"}.get)
    assert made == page.replace("old", "new")
