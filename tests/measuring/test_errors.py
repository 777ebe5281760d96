"""What is refused, and how it is said."""

from __future__ import annotations

import csv
import importlib.util

import pytest
import torch
from torch import nn

import transect
from support.measured import mlp, path, paths, smooth
from transect import measure
from transect.errors import InvalidInput, MissingDependency, UnsupportedModel


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("resnet18", "models: expected a torch.nn.Module or a captured network, a sequence of them"),
        (torch.relu, "models: expected a torch.nn.Module or a captured network"),
        ([], "models: expected at least one model, got none"),
        ([mlp(), torch.relu], "models: expected model '1' to be a torch.nn.Module or a captured network, got builtin"),
        ({1: mlp()}, "models: expected names of models to be text, got 1"),
        ({"\udcff": mlp()}, "models: expected names that are text in UTF-8"),  # of a file, in other bytes
    ],
)
def test_models_that_are_none(models, message):
    with pytest.raises(InvalidInput, match=message):
        measure(models, path(0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            3,
            "paths: expected a transect.Path, or a sequence, a mapping from names or another iterable of them, got int",
        ),
        (torch.zeros(2, 6), "paths: expected a transect.Path, .* got Tensor; make paths from their anchors"),
        ([], "paths: expected at least one path, got none"),
        ({"\udcff": path(0)}, "paths: expected names that are text in UTF-8"),
        (iter([]), "paths: expected at least one path, got none"),
        ([path(0), torch.zeros(2, 6)], "paths: expected path 1 to be a transect.Path, got Tensor"),
        (iter([path(0), 1.0]), "paths: expected path 1 to be a transect.Path, got float"),
        ([path(0), path(1, inputs=5)], r"the anchors of path 1 have shape \(5,\), those of path 0 \(6,\)"),
    ],
)
def test_paths_that_are_none(given, message):
    with pytest.raises(InvalidInput, match=message):
        measure(mlp(), given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "exactly"}, "method: expected one of exact, estimate, got 'exactly'"),
        ({"together": 0}, "together: expected a whole number of at least 1, got 0"),
        ({"outputs": ["a"]}, "outputs: expected a sequence of whole numbers"),
        ({"outputs": 3}, "outputs: expected a sequence of whole numbers"),
        ({"dtype": torch.float16}, "dtype: expected one of None, torch.float64, torch.float32"),
        ({"device": "tpu"}, "device: expected a device of torch"),
        ({"budget": 0}, "budget: expected a whole number of at least 1"),
        ({"rtol": -1.0}, "rtol: expected a number of at least 0"),
        ({"max_samples": 9}, "max_samples: expected a whole number of at least 18"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        measure(mlp(), path(0), **arguments)


def test_models_and_paths_that_do_not_fit_are_named():
    network = transect.capture(mlp(), path(0).anchors[0])
    with pytest.raises(InvalidInput, match=r"model 'b': paths: their anchors have shape \(5,\), but the network takes"):
        measure({"b": network}, path(0, inputs=5))
    with pytest.raises(InvalidInput, match="model 'b'"):
        measure({"b": mlp()}, path(0, inputs=5))
    with pytest.raises(InvalidInput, match=r"model 'b': dtype: the network was captured in torch\.float64"):
        measure({"b": network}, path(0), dtype=torch.float32)
    with pytest.raises(InvalidInput, match=r"model 'b', path 0: outputs: expected indices below 3, got \[3\]"):
        measure({"b": network}, path(0), outputs=[3])


def test_models_that_cannot_be_traced_are_named_with_their_problems():
    with pytest.raises(UnsupportedModel, match=r"(?s)model 's': .*tanh") as caught:
        measure({"s": smooth()}, path(0))
    assert [problem.operation for problem in caught.value.problems] == ["aten.tanh.default"]


def test_training_mode_is_refused():
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU())
    with pytest.raises(InvalidInput, match=r"model 'Sequential': .*evaluation mode|model 'Sequential': .*eval"):
        measure(model, path(0))


def test_tables(tmp_path):
    found = measure(mlp(), paths(3), progress=False)
    with pytest.raises(InvalidInput, match=r"name: expected one of model, path, .*, got 'depth'"):
        found.column("depth")
    with pytest.raises(InvalidInput, match=r"path: expected a name that ends in \.parquet or \.csv, got x\.xlsx"):
        found.save(tmp_path / "x.xlsx")
    with pytest.raises(InvalidInput, match="cannot read the table"):
        transect.Measurements.read(tmp_path / "none.parquet")
    assert transect.Measurements.read(found.save(tmp_path / "x.parquet")).table.equals(found.table)
    assert found.save(tmp_path / "x.csv").read_text().splitlines()[0].startswith('"model","path","path_name"')
    assert repr(found) == "Measurements(3 rows; 1 model: Sequential; exact)"
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(MissingDependency, match="to_pandas needs pandas: pip install pandas"):
            found.to_pandas()
    else:
        assert found.to_pandas()["crossings"].tolist() == found.column("crossings").tolist()


@pytest.mark.parametrize("name", ["../x", "a/b", "a\0b", "CON", "x" * 5000, "\x1b[31mred", "=1+1", "", "a\nb"])
def test_a_name_leads_nowhere_and_nothing_in_it_is_run(name, tmp_path):
    measure({name: mlp()}, {name: path(0)}, out=tmp_path / "inside" / "out")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.parent for file in files} == {tmp_path / "inside" / "out"}
    with open(tmp_path / "inside" / "out" / "table.csv", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["model"] == ("'" + name if name.startswith("=") else name)
    again = measure({name: mlp()}, {name: path(0)}, out=tmp_path / "inside" / "out")
    assert again.table["model"].to_pylist() == [name]
