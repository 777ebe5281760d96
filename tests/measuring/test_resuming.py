"""Work that goes on where it was stopped, and refuses to go on with something else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path as File

import pyarrow.parquet
import pytest
import torch
from torch import nn

from support.measured import mlp, path, paths
from transect import Measurements, measure
from transect.errors import FolderInUse, InvalidInput
from transect.measuring import pool
from transect.measuring.columns import SCHEMA
from transect.measuring.paths import Chunk
from transect.measuring.store import Memory
from transect.tables.files import SCHEMA_VERSION

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from support.measured import mlp, paths
from transect import measure
if __name__ == "__main__":
    measure({"a": mlp(150, 0), "b": mlp(150, 1)}, paths(12), together=2, out=sys.argv[2], progress=False)
"""


def rows(table):
    return table.drop_columns(["seconds"])


@pytest.fixture
def counted(monkeypatch):
    """The paths of every group that is measured in this process."""
    groups = []
    original = pool.measure_together

    def counting(model, given, *rest):
        groups.append(len(given))
        return original(model, given, *rest)

    monkeypatch.setattr(pool, "measure_together", counting)
    return groups


def test_after_a_kill_nothing_is_repeated_and_the_table_is_the_same(tmp_path, counted):
    out = tmp_path / "out"
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(File(__file__).parents[1]), str(out)]
    process = subprocess.Popen(command)
    end = time.monotonic() + 120
    while len(list(out.glob("parts/[!.]*.parquet"))) < 3:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    parts = {part.name: pyarrow.parquet.ParquetFile(part).read() for part in out.glob("parts/[!.]*.parquet")}
    assert 3 <= len(parts) < 12
    models = {"a": mlp(150, 0), "b": mlp(150, 1)}
    resumed = measure(models, paths(12), together=2, out=out, progress=False)
    assert len(counted) == 12 - len(parts)
    kept = {(row["model"], row["path"]): row for part in parts.values() for row in part.to_pylist()}
    assert {key: row for row in resumed.rows if (key := (row["model"], row["path"])) in kept} == kept  # seconds too
    fresh = measure(models, paths(12), together=2, progress=False)
    assert rows(resumed.table).equals(rows(fresh.table))
    assert sorted(part.name for part in out.iterdir()) == [
        ".lock",
        "manifest.json",
        "paths.txt",
        "table.csv",
        "table.parquet",
    ]
    assert Measurements.read(out).table.equals(resumed.table)


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, counted):
    def impatient(event):
        if event.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        measure(mlp(), paths(8), together=2, out=tmp_path / "out", progress=impatient)
    assert caught.value.__notes__ == [
        f"4 finished rows are kept in {tmp_path / 'out'}; the same call goes on from there."
    ]
    measure(mlp(), paths(8), together=2, out=tmp_path / "out", progress=False)
    assert counted == [2] * 4


def test_a_second_call_does_nothing_and_models_may_be_added(tmp_path, counted):
    models = {"a": mlp(5, 0), "b": mlp(6, 1)}
    first = measure(models, paths(5), out=tmp_path, progress=False)
    assert measure(models, paths(5), out=tmp_path, progress=False).table.equals(first.table)
    assert counted == [5, 5]
    more = measure({"c": mlp(7, 2)} | models, iter(paths(5)), out=tmp_path, progress=False)
    assert counted == [5, 5, 5]
    assert more.models == ("c", "a", "b")
    assert (
        measure(models["b"], paths(5), progress=False).column("flips").tolist() == more.of("b").column("flips").tolist()
    )
    assert Measurements.read(tmp_path).models == ("a", "b", "c")


def test_a_kill_while_digests_of_paths_are_written_does_no_harm(tmp_path, counted):
    def stopped():
        yield from paths(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(mlp(5), stopped(), together=2, out=tmp_path, progress=False)
    digests = (tmp_path / "paths.txt").read_text()
    (tmp_path / "paths.txt").write_text(digests + "0a1b2c")
    found = measure(mlp(5), iter(paths(5)), together=2, out=tmp_path, progress=False)
    assert counted == [2, 2, 1]
    assert rows(found.table).equals(rows(measure(mlp(5), paths(5), together=2, progress=False).table))
    assert len((tmp_path / "paths.txt").read_text().splitlines()) == 5


def test_a_kill_between_the_table_and_its_parts_does_no_harm(tmp_path, counted):
    found = measure(mlp(5), paths(4), together=2, out=tmp_path, progress=False)
    (tmp_path / "parts").mkdir()
    pyarrow.parquet.write_table(found.table.slice(0, 2), tmp_path / "parts" / "left.parquet")
    (tmp_path / "parts" / ".x-1-2.part.parquet").write_text("half")
    again = measure(mlp(5), paths(4), together=2, out=tmp_path, progress=False)
    assert again.table.equals(found.table)
    assert len(counted) == 2


def changed(**entries):
    model = mlp(5)
    base = {"models": {"a": model}, "paths": paths(4), "together": 2}
    return base | entries


def other_structure():
    model = mlp(5)
    model[1] = torch.nn.LeakyReLU()
    return model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (changed(models={"a": mlp(5, seed=1)}), "models: 'a' computes something else"),
        (changed(models={"a": other_structure()}), "models: 'a' computes something else"),
        (changed(paths=[*paths(3), path(77)]), "paths: path 3 is another one"),
        (changed(paths=iter([*paths(3), path(77)])), "paths: path 3 is another one"),
        (changed(paths=paths(5)), "paths: 4 there, more here"),
        (changed(paths=paths(3)), "paths: 4 there, 3 here"),
        (changed(paths=iter(paths(3))), "paths: 4 there, 3 here"),
        (changed(together=4), "together: 2 there, 4 here"),
        (changed(method="estimate"), "method: 'exact' there, 'estimate' here"),
        (changed(outputs=[0]), r"outputs: None there, \[0\] here"),
        (changed(dtype=torch.float32), "dtype: None there, 'torch.float32' here"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_something_else_is_refused_and_the_rows_stay(tmp_path_factory, finished, arguments, message, counted):
    before = (finished / "table.parquet").read_bytes()
    with pytest.raises(InvalidInput, match=message) as caught:
        measure(arguments.pop("models"), arguments.pop("paths"), out=finished, progress=False, **arguments)
    assert "Use another folder, or delete this one to start anew." in str(caught.value)
    assert counted == []
    assert (finished / "table.parquet").read_bytes() == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    arguments = changed()
    measure(arguments.pop("models"), arguments.pop("paths"), out=folder, progress=False, **arguments)
    return folder


def test_folders_of_something_else_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(InvalidInput, match="is not empty, and holds no measurements"):
        measure(mlp(), path(0), out=tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InvalidInput, match="is damaged, or of something else"):
        measure(mlp(), path(0), out=tmp_path)
    with pytest.raises(InvalidInput, match=r"out: expected a folder, got .*table\.parquet; for one file, save"):
        measure(mlp(), path(0), out=tmp_path / "table.parquet")


class Leaky(nn.Module):
    """The same weights and the same name for every slope: only what it computes tells one from another."""

    def __init__(self, slope):
        super().__init__()
        self.body, self.slope = mlp(5), slope

    def forward(self, x):
        return torch.nn.functional.leaky_relu(self.body(x), self.slope)


class Smooth(Leaky):
    """Cannot be captured."""

    def forward(self, x):
        return torch.tanh(self.body(x)) * self.slope


@pytest.mark.parametrize(("kind", "method"), [(Leaky, "exact"), (Smooth, "estimate")])
def test_rows_of_another_function_with_the_same_weights_are_never_handed_out(tmp_path, counted, kind, method):
    arguments = {"method": method, "out": tmp_path, "progress": False}
    first = measure({"a": kind(0.1).eval()}, path(0), **arguments)
    assert measure({"a": kind(0.1).eval()}, path(0), **arguments).table.equals(first.table)
    assert len(counted) == 1
    with pytest.raises(InvalidInput, match=r"models: 'a' computes something else .*; give it another name"):
        measure({"new": mlp(), "a": kind(0.9).eval()}, path(0), **arguments)
    assert len(counted) == 1  # it is said before anything is measured
    both = measure({"a": kind(0.1).eval(), "b": kind(0.9).eval()}, path(0), **arguments)
    assert len(counted) == 2
    assert both.of("a").table.equals(first.table)


def test_names_of_paths_belong_to_the_rows(tmp_path, finished):
    named = {"one": path(1), "two\n": path(2)}
    measure(mlp(5), named, out=tmp_path, progress=False)
    assert measure(mlp(5), named, out=tmp_path, progress=False).column("path_name").tolist() == ["one", "two\n"]
    with pytest.raises(InvalidInput, match='path 0 is called "one" there, "un" here'):
        measure(mlp(5), {"un": path(1), "two\n": path(2)}, out=tmp_path, progress=False)
    with pytest.raises(InvalidInput, match="path 0 is another one"):
        measure(mlp(5), {"one": path(2), "two\n": path(1)}, out=tmp_path, progress=False)
    with pytest.raises(InvalidInput, match='path 0 is called "one" there, "0" here'):
        measure(mlp(5), list(named.values()), out=tmp_path, progress=False)
    with pytest.raises(InvalidInput, match='path 3 is called "3" there, "last" here'):
        measure({"a": mlp(5)}, dict(zip(["0", "1", "2", "last"], paths(4))), together=2, out=finished, progress=False)


class Failing(nn.Module):
    """Computes something, but not where a path begins: a stand-in for what is wrong with a model."""

    def __init__(self, seed, where):
        super().__init__()
        self.body, self.start = mlp(5, seed).double(), paths(4)[where].anchors[0]

    def forward(self, x):
        if (x == self.start).all(1).any():
            raise LookupError("seven is missing")
        return torch.tanh(self.body(x))


def test_a_model_that_failed_blocks_nothing(tmp_path, counted):
    good, broken = mlp(5), mlp(5, 1)
    with torch.no_grad():
        broken[0].weight[0] = torch.nan
    with pytest.raises(InvalidInput, match=r"model 'b': .*NaN") as caught:
        measure({"a": good, "b": broken}, paths(4), together=2, out=tmp_path, progress=False)
    assert caught.value.__notes__ == [
        f"4 finished rows are kept in {tmp_path}; with what failed mended, replaced or left out, the call goes on from "
        "there."
    ]
    assert len(measure({"a": good}, paths(4), together=2, out=tmp_path, progress=False)) == 4  # left out
    both = measure({"a": good, "b": mlp(5, 1)}, paths(4), together=2, out=tmp_path, progress=False)  # mended
    assert counted == [2] * 4
    assert both.models == ("a", "b")


def test_a_model_that_failed_half_way_may_be_replaced_and_another_that_failed_too(tmp_path, counted):
    arguments = {"method": "estimate", "together": 1, "out": tmp_path, "progress": False}
    for seed, where in ((1, 2), (2, 3)):
        with pytest.raises(LookupError) as caught:
            measure({"a": mlp(5), "b": Failing(seed, where).eval()}, paths(4), **arguments)
        assert "with what failed mended, replaced or left out" in caught.value.__notes__[0]
        assert len(list((tmp_path / "parts").iterdir())) == 4 + where  # of the first model all
    assert len(measure({"a": mlp(5)}, paths(4), **arguments)) == 4
    assert Measurements.read(tmp_path).models == ("a",)  # what is not complete is in no table
    found = measure({"a": mlp(5), "b": mlp(5, 3)}, paths(4), **arguments)
    fresh = measure({"a": mlp(5), "b": mlp(5, 3)}, paths(4), **arguments | {"out": None})
    assert rows(found.table).equals(rows(fresh.table))
    assert rows(Measurements.read(tmp_path).table).equals(rows(fresh.table))
    with pytest.raises(InvalidInput, match="'b' computes something else"):  # it is complete now, and stays
        measure({"b": mlp(5, 4)}, paths(4), **arguments)


def damaged(file, how):
    content = file.read_bytes()
    file.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "garbage": b"\x00\xff" * 50}[how])


@pytest.mark.parametrize("how", ["empty", "cut", "garbage"])
@pytest.mark.parametrize("name", ["table.parquet", "parts/*.parquet", "manifest.json", "paths.txt"])
def test_damaged_files_are_named_with_what_to_do(tmp_path, halfway, name, how):
    shutil.copytree(halfway, tmp_path / "out")
    (file,) = list((tmp_path / "out").glob(name))[:1]
    kept = {other: other.read_bytes() for other in (tmp_path / "out").rglob("*.parquet") if other != file}
    damaged(file, how)
    with pytest.raises(InvalidInput) as caught:
        measure({"a": mlp(5), "b": mlp(5, 1)}, paths(4), together=1, out=tmp_path / "out", progress=False)
    message = str(caught.value)
    assert str(file) in message or "something else" in message
    assert "Delete this file: its rows are then measured again." in message or "delete this one to start" in message
    assert {other: other.read_bytes() for other in kept} == kept
    if file.suffix == ".parquet":  # and that is true
        file.unlink()
        again = measure({"a": mlp(5), "b": mlp(5, 1)}, paths(4), together=1, out=tmp_path / "out", progress=False)
        fresh = measure({"a": mlp(5), "b": mlp(5, 1)}, paths(4), together=1, progress=False)
        assert rows(again.table).equals(rows(fresh.table))


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A folder with a finished model in its table, and two parts of another."""
    folder = tmp_path_factory.mktemp("halfway")
    measure({"a": mlp(5)}, paths(4), together=1, out=folder, progress=False)

    def enough(event):
        if (event.job, event.step) == ("b", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure({"a": mlp(5), "b": mlp(5, 1)}, paths(4), together=1, out=folder, progress=enough)
    return folder


@pytest.mark.parametrize("name", ["paths.txt", "manifest.json"])
def test_without_what_says_whose_rows_they_are_nothing_is_handed_out(tmp_path, halfway, name):
    shutil.copytree(halfway, tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    with pytest.raises(InvalidInput, match="out: "):
        measure({"a": mlp(5)}, paths(4), together=1, out=tmp_path / "out", progress=False)


def test_tables_of_other_versions_are_refused(tmp_path):
    measure(mlp(), path(0), out=tmp_path, progress=False)
    table, manifest = tmp_path / "table.parquet", tmp_path / "manifest.json"
    old = pyarrow.parquet.read_table(table).replace_schema_metadata({b"transect.schema_version": b"2"})
    pyarrow.parquet.write_table(old, table)
    with pytest.raises(InvalidInput, match="version 2; its columns mean something else"):
        measure(mlp(), path(0), out=tmp_path)
    with pytest.raises(InvalidInput, match="version 2; its columns mean something else"):
        Measurements.read(tmp_path)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema_version": 99}))
    with pytest.raises(InvalidInput, match=f"is of tables of version 99, this is version {SCHEMA_VERSION}"):
        measure(mlp(), path(0), out=tmp_path)


def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path, counted):
    refused = []

    def meanwhile(event):
        if event.step == 2 and not refused:
            with pytest.raises(FolderInUse, match=rf"in use by process {os.getpid()} on ") as caught:
                measure(mlp(), paths(4), together=2, out=tmp_path, progress=False)
            refused.append(caught.value)

    found = measure(mlp(), paths(4), together=2, out=tmp_path, progress=meanwhile)
    assert not hasattr(refused[0], "__notes__")
    assert counted == [2, 2]
    assert len(found) == 4


def test_a_row_takes_the_memory_of_a_row_of_the_table():
    """Thousands of paths one by one: 500 bytes a row in the end, and not those of a table each."""
    numbers = {name: 1.0 for name in SCHEMA.names if SCHEMA.field(name).type == "double"}
    store, one, before = Memory(), path(0), pyarrow.total_allocated_bytes()
    tracemalloc.start()
    for position in range(5000):
        store.add("model", Chunk(position, (str(position),), (one,)), [numbers | {"method": "exact", "segments": 3}])
    held = tracemalloc.get_traced_memory()[0] + pyarrow.total_allocated_bytes() - before
    tracemalloc.stop()
    assert store.finish().num_rows == 5000
    assert held / 5000 < 2000
