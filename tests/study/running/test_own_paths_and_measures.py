"""Paths and measures of a user's own in a study, named in its file: from the table to its digests."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

from support import own_study
from support.inline import Inline
from support.own_study import to_the_origin
from transect.errors import StudyError, TransectError
from transect.plots import measure_curves
from transect.study.columns import PATH_SCHEMA, RUN_SCHEMA
from transect.study.config import StudyConfig, short_hash
from transect.study.data.load import load_data
from transect.study.data.samples import chosen_samples
from transect.study.identity import identified
from transect.study.models import build_model
from transect.study.running.folders import run_folder
from transect.study.running.sweep import read_configuration, run_study
from transect.tables.files import read_table
from transect.tables.names import name_of, with_values

HERE = "support.own_study"
GIVEN = {
    "data": {"train_samples": 60, "test_samples": 40},
    "model": {"width": [2, 3]},
    "train": {"epochs": 4, "batch_size": 20},
    "paths": {"kind": f"{HERE}:to_the_origin", "paths": 5, "arguments": {"stop": -1.0}},
    "measures": {"own": [f"{HERE}:LARGEST_GAP"]},
}
STUDY = StudyConfig.parse(GIVEN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return run_study(STUDY, tmp_path_factory.mktemp("own") / "study", Inline()).parent


def test_the_paths_are_those_of_the_maker_and_the_measure_has_its_columns(folder):
    """Against a dense grid over the weights that the run left behind."""
    config = read_configuration(folder)
    data = load_data(config.data[0])
    samples = data.train.inputs[chosen_samples(data.train, config.paths[0])]
    rows = read_table(folder / "paths.parquet", PATH_SCHEMA).to_pylist()
    t = torch.linspace(0, 1, 20001, dtype=torch.float64)[:, None]
    for network in config.networks():
        model = build_model(network.model, data.input_shape, data.classes, 0).double()
        weights = safetensors.torch.load_file(run_folder(folder, network).weights("last"))
        model.load_state_dict({name: value.double() for name, value in weights.items()})
        mine = [row for row in rows if row["width"] == network.model.width]
        for row, path in zip(mine, to_the_origin(data.prepare(samples, torch.float64), -1.0), strict=True):
            start, end = path.anchors
            with torch.no_grad():
                outputs = model.eval()(start + t * (end - start))
            gap = (outputs - outputs[0] - t * (outputs[-1] - outputs[0])).abs().amax(0)
            assert row["path_length"] == pytest.approx(float((end - start).norm()), rel=1e-12)
            assert row["own_largest_gap"] == pytest.approx(float(gap.norm()), rel=1e-3)
            assert row["kind"] == f"{HERE}:to_the_origin"


def test_the_run_table_has_means_and_figures_find_them(folder):
    table, paths = (read_table(folder / f"{name}.parquet", schema) for name, schema in
                    (("table", RUN_SCHEMA), ("paths", PATH_SCHEMA)))  # fmt: skip
    for width, mean in zip(table["width"].to_pylist(), table["own_largest_gap"].to_pylist(), strict=True):
        values = [row["own_largest_gap"] for row in paths.to_pylist() if row["width"] == width]
        assert mean == pytest.approx(sum(values) / len(values))
    assert "own_largest_gap" in with_values(table, None)
    assert name_of("own_largest_gap") == "largest gap"
    assert measure_curves(table, columns=["own_largest_gap"]).axes


def test_other_code_or_arguments_are_another_way_of_measuring(folder, monkeypatch):
    before = {one.hash() for one in read_configuration(folder).measurings()}
    assert {one.hash() for one in identified(STUDY).measurings()} == before
    monkeypatch.setattr(own_study, "to_the_origin", lambda samples, stop: own_study.too_few(samples))
    assert {one.hash() for one in identified(STUDY).measurings()}.isdisjoint(before)
    monkeypatch.undo()
    monkeypatch.setattr(own_study.LargestGap, "results", lambda self: {})
    assert {one.hash() for one in identified(STUDY).measurings()}.isdisjoint(before)
    monkeypatch.undo()
    other = StudyConfig.parse(GIVEN | {"paths": GIVEN["paths"] | {"arguments": {"stop": 0.5}}})
    assert {one.hash() for one in identified(other).measurings()}.isdisjoint(before)


def test_ways_without_anything_of_ones_own_are_known_as_before_there_were_such_settings():
    settings = {"paths": {"paths": 3}, "measures": {"method": "estimate"}}
    (plain,) = StudyConfig.parse(settings).measurings()
    before = plain.model_dump(mode="json", exclude={"contents": True, "paths": {"arguments"}, "measures": {"own"}})
    assert plain.hash() == short_hash(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # the first is tried before anything is trained
        ({"paths": {"kind": f"{HERE}:too_few", "paths": 5}}, "for each of the 1 samples, got 0 paths"),
        ({"paths": {"kind": f"{HERE}:to_the_orgin", "paths": 5}}, "did you mean to_the_origin"),
        ({"paths": {"kind": f"{HERE}:to_the_origin", "arguments": {"slop": 1}}}, "unexpected keyword argument 'slop'"),
        ({"paths": {"kind": f"{HERE}:SHAPE"}}, "has no 'SHAPE'"),
        ({"measures": {"own": [f"{HERE}:LargestGap"]}}, "expected transect.measures.Measure objects"),
        ({"measures": {"own": [f"{HERE}:LARGEST_GAP"], "method": "estimate"}}, "own ones need every region"),
    ],
)
def test_what_is_wrong_with_them_is_said(tmp_path, change, message):
    with pytest.raises(TransectError, match=message):
        run_study(StudyConfig.parse(GIVEN | {"model": {"width": 2}} | change), tmp_path, Inline())


def test_a_misspelt_kind_is_answered_with_the_nearest():
    with pytest.raises(StudyError, match="did you mean circle"):
        StudyConfig.parse({"paths": {"kind": "cirle"}})
