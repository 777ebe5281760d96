"""Work that goes on where it was stopped, and refuses to go on with something else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path as File

import pyarrow.parquet
import pytest
import torch
from measured import mlp, path, paths

from transect import Measurements, measure
from transect.errors import InvalidInput
from transect.measuring import pool
from transect.storage.tables import SCHEMA_VERSION

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from measured import mlp, paths
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

    def counting(model, given, options):
        groups.append(len(given))
        return original(model, given, options)

    monkeypatch.setattr(pool, "measure_together", counting)
    return groups


def test_after_a_kill_nothing_is_repeated_and_the_table_is_the_same(tmp_path, counted):
    out = tmp_path / "out"
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(File(__file__).parent), str(out)]
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
        (changed(models={"a": mlp(5, seed=1)}), "models: 'a' has other weights, or another structure"),
        (changed(models={"a": other_structure()}), "models: 'a' has other weights, or another structure"),
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


def test_another_version_and_damaged_rows_are_refused(tmp_path):
    measure(mlp(), path(0), out=tmp_path, progress=False)
    table, manifest = tmp_path / "table.parquet", tmp_path / "manifest.json"
    table.write_bytes(b"PAR1")
    with pytest.raises(InvalidInput, match="cannot read the table"):
        measure(mlp(), path(0), out=tmp_path)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema_version": 99}))
    with pytest.raises(InvalidInput, match=f"tables of version 99, this is version {SCHEMA_VERSION}"):
        measure(mlp(), path(0), out=tmp_path)
