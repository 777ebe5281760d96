"""Planes as rows: against slices taken one by one, and work that goes on where it was stopped."""

from __future__ import annotations

import logging
import sys

import pytest
import torch

import transect
from support.measured import APART, INPUTS, convolutional, mlp, path, paths, smooth
from transect import Measurements, Plane, forecast, measure
from transect.errors import InvalidInput, NotEstimated
from transect.measures import Measure
from transect.measuring import pool
from transect.measuring.planes import PLANE_SCHEMA

MODELS = {"mlp": mlp(), "cnn": convolutional()}


def plane(seed: int, margin: float = 0.0, inputs: int = INPUTS) -> Plane:
    generator = torch.Generator().manual_seed(seed)
    return Plane.through(*torch.randn(3, inputs, generator=generator, dtype=torch.float64), margin=margin)


def planes(count: int) -> list[Plane]:
    """Triangles and rectangles."""
    return [plane(seed, margin=0.1 * (seed % 2)) for seed in range(count)]


def row_by_hand(found: transect.Slice) -> dict[str, float]:
    """What the columns mean, by the attributes of a slice."""
    row = {
        "area": found.plane.area,
        "regions": found.regions,
        "borders": found.borders,
        "vertices": found.vertices,
        "region_density": found.regions / found.area,
        "smallest_region": found.smallest,
        "largest_region": found.largest,
        "border_length": found.border_length,
        "border_density": found.border_length / found.area,
        "boundary_length": float(found.boundary.length.sum()),
        "mean_slope": found.mean_slope,
        "largest_slope": found.largest_slope,
        "unresolved": 0,
    }
    if found.deviation is not None:
        deviation = float(found.deviation.norm())
        row |= {"absolute_deviation": deviation, "mean_deviation": deviation / found.area}
        row |= {"absolute_deviation_max": float(found.deviation.max())}
        row |= {"deviation_norm_low": found.deviation_norm[0], "deviation_norm_high": found.deviation_norm[1]}
    return row


def without_seconds(found: Measurements):
    return found.table.drop_columns(APART)


@pytest.fixture
def counted(monkeypatch):
    """How many planes are sliced at a time in this process."""
    groups = []
    original = pool.measure_together
    monkeypatch.setattr(
        pool, "measure_together", lambda model, given, *rest: groups.append(len(given)) or original(model, given, *rest)
    )
    return groups


def test_every_row_is_that_of_the_slice():
    given = planes(4)
    found = measure(MODELS, given, progress=False)
    assert found.table.schema.equals(PLANE_SCHEMA)
    assert [(row["model"], row["plane"]) for row in found.rows] == [(name, k) for name in MODELS for k in range(4)]
    for row in found.rows:
        expected = row_by_hand(transect.slice(MODELS[row["model"]], given[row["plane"]], keep="measures"))
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9)
        assert row["plane_name"] == str(row["plane"])
        assert row["method"] == "exact"
        assert (row["absolute_deviation"] is None) == (row["plane"] % 2 == 1)
        assert row["seconds"] > 0
    assert repr(found) == "Measurements(8 rows; 2 models: mlp, cnn; exact)"


def test_deviations_lie_in_their_bounds_and_are_normalised():
    triangles = {"one": plane(0), "other": plane(2)}
    data = torch.randn(50, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    found = measure(mlp(), triangles, data=data, outputs=[2, 0], progress=False)
    std = transect.capture(mlp(), data)(data)[:, [2, 0]].std(0, correction=0)
    for row, where in zip(found.rows, triangles.values(), strict=True):
        sliced = transect.slice(mlp(), where, outputs=[2, 0])
        assert row["plane_name"] in triangles
        assert row["normalised_deviation"] == pytest.approx(float((sliced.deviation / std).norm()) / sliced.area)
        assert row["output_std"] == pytest.approx(float(std.square().mean().sqrt()))
        corners = transect.capture(mlp(), data)(where.at(where.corners))[:, [2, 0]]
        assert row["corner_std"] == pytest.approx(float(corners.var(0, correction=0).mean().sqrt()))
        for name in ("absolute_deviation", "mean_deviation", "normalised_deviation", "deviation_norm"):
            assert 0 < row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    with pytest.raises(
        InvalidInput, match="std: expected one number, or one for each of the 3 outputs measured, got 2"
    ):
        measure(mlp(), plane(0), std=[1.0, 2.0])


def test_generators_and_workers_and_groups_change_nothing():
    expected = without_seconds(measure(MODELS, planes(4), progress=False))
    assert without_seconds(measure(MODELS, iter(planes(4)), progress=False)).equals(expected)
    assert without_seconds(measure(MODELS, planes(4), together=3, progress=False)).equals(expected)
    assert without_seconds(measure(MODELS, iter(planes(4)), workers=2, progress=False)).equals(expected)


def test_an_interrupted_call_goes_on_where_it_was(tmp_path, counted):
    def impatient(event):
        if event.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        measure({"a": mlp(5)}, planes(4), out=tmp_path, progress=impatient)
    assert caught.value.__notes__ == [f"2 finished rows are kept in {tmp_path}; the same call goes on from there."]
    assert len(list(tmp_path.glob("parts/*.parquet"))) == 2
    found = measure({"a": mlp(5)}, iter(planes(4)), out=tmp_path, progress=False)
    assert counted == [1] * 4
    assert without_seconds(found).equals(without_seconds(measure({"a": mlp(5)}, planes(4), progress=False)))
    names = [".lock", "manifest.json", "planes.txt", "table.csv", "table.parquet"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert Measurements.read(tmp_path).table.equals(found.table)
    counted.clear()
    more = measure({"a": mlp(5), "b": mlp(6)}, planes(4), out=tmp_path, progress=False)
    assert counted == [1] * 4
    assert more.of("a").table.equals(found.table)


def moved(where: Plane, by: float) -> Plane:
    return Plane(where.origin + by, where.u, where.v, where.corners, where.anchors)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: [plane(0), moved(plane(1), 1e-15)], "planes: plane 1 is another one"),
        (lambda: [plane(0), plane(1).window([-9.0, -9.0], [0.0, 9.0])], "planes: plane 1 is another one"),
        (lambda: [plane(0)], "planes: 2 there, 1 here"),
        (lambda: [plane(0), plane(1), plane(2)], "planes: 2 there, more here"),
        (lambda: {"a": plane(0), "b": plane(1)}, 'planes: plane 0 is called "0" there, "a" here'),
        (lambda: paths(2), "rows_of: 'planes' there, 'nothing' here"),
    ],
)
def test_other_planes_are_refused(given, message, tmp_path):
    first = measure(mlp(5), [plane(0), plane(1)], out=tmp_path, progress=False)
    with pytest.raises(InvalidInput, match=message):
        measure(mlp(5), given(), out=tmp_path, progress=False)
    assert Measurements.read(tmp_path).table.equals(first.table)


def test_a_folder_of_paths_takes_no_planes(tmp_path):
    measure(mlp(5), paths(2), out=tmp_path, progress=False)
    with pytest.raises(InvalidInput, match="rows_of: 'nothing' there, 'planes' here"):
        measure(mlp(5), planes(2), out=tmp_path, progress=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [plane(0), path(1)],
            "paths: expected planes only, as the first is one, got a path at 1: paths and planes have",
        ),
        (iter([path(0), plane(1)]), "paths: expected paths only, as the first is one, got a plane at 1"),
        ([plane(0), 3], "paths: expected path 1 to be a transect.Path, got int.* Likewise of planes"),
        ([plane(0), plane(1, inputs=5)], r"the inputs of plane 1 have shape \(5,\), those of plane 0 \(6,\)"),
    ],
)
def test_what_does_not_go_together_is_refused(given, message):
    with pytest.raises(InvalidInput, match=message):
        measure(mlp(), given)


def test_what_there_is_not_of_planes_is_refused():
    with pytest.raises(InvalidInput, match='method: expected "exact" for planes, which are sliced and not sampled'):
        measure(mlp(), plane(0), method="estimate")
    own = Measure("mine", "mine", "", "segment", "mine", lambda ends: None)
    with pytest.raises(NotEstimated, match="measures: measures of your own are of traces"):
        measure(mlp(), plane(0), measures=[own])
    with pytest.raises(transect.errors.UnsupportedModel, match="model 's'"):
        measure({"s": smooth()}, plane(0))
    with pytest.raises(InvalidInput, match=r"model 'b', plane 0: outputs: expected indices below 3, got \[3\]"):
        measure({"b": mlp()}, plane(0), outputs=[3])


def test_models_are_compared_plane_by_plane():
    found = measure({"narrow": mlp(8), "wide": mlp(40)}, planes(6), std=1.0, progress=False)
    compared = found.compare("wide", "narrow", "regions")
    assert compared.pairs == 6
    regions = [found.of(name).column("regions").mean() for name in ("wide", "narrow")]
    assert compared.means == pytest.approx(tuple(regions))
    assert str(compared).startswith("regions on 6 planes: wide ")
    assert str(compared).endswith("(95% over planes)")
    assert found.compare("wide", "narrow", "normalised_deviation").left_out == 3  # rectangles
    assert found.compare("wide", "narrow", "boundary_length").scales is None
    with pytest.raises(InvalidInput, match=r"measure: expected one of area, regions, .*, got 'crossings'"):
        found.compare("wide", "narrow", "crossings")


def test_events_are_of_planes():
    events = []
    measure({"a": mlp(4)}, planes(2), progress=events.append)
    assert [(event.stage, event.step) for event in events if event.kind == "advanced"] == [("planes", 1), ("planes", 2)]
    assert events[-1].message == "2 planes measured"


def test_forecasts_and_what_the_log_hears(monkeypatch):
    models, given = {"a": mlp(30), "b": mlp(30, seed=1)}, planes(3)
    found = forecast(models, given)
    regions = int(measure(models, given, progress=False).column("regions").sum())
    assert found.regions.low <= regions <= found.regions.high
    assert (found.models, found.planes, found.workers) == (2, 3, 1)
    assert str(found).startswith("2 models on 3 planes: about ")
    assert forecast(models, given, count=300, workers=2).regions.value == pytest.approx(
        100 * found.regions.value, rel=0.2
    )
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("transect")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    monkeypatch.setattr(sys.modules["transect.measuring.measure"], "_LONG", 0.0)
    measure(models, given)
    logger.manager._clear_cache()
    assert lines[0].startswith("Forecast: 2 models on 3 planes: about ")
    assert lines[1] == "Measurements(6 rows; 2 models: a, b; exact)"


def test_tables_are_saved_and_read(tmp_path):
    found = measure(mlp(), planes(2), progress=False)
    assert Measurements.read(found.save(tmp_path / "x.parquet")).table.equals(found.table)
    assert (
        found.save(tmp_path / "x.csv").read_text().startswith('"model","plane","plane_name","method","area","regions"')
    )
