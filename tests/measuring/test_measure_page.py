"""The examples of docs/measure.md run, one after the other, and say what the text says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "measure.md"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    known: dict[str, object] = {}
    for block in blocks:
        exec(block, known)
    assert repr(known["history"]) == "Checkpoints(3: epoch_1-17 to epoch_10-26)"
    compared, forecast = capsys.readouterr().out.splitlines()
    assert compared.startswith("crossings on 40 paths: wide ")
    assert forecast.startswith("2 models on 100,000 paths: about ")
    assert len(known["table"]) == 80
    assert len(known["slices"]) == 10
    assert sorted(file.name for file in (tmp_path / "results").iterdir()) == [
        ".lock", "manifest.json", "paths.txt", "table.csv", "table.parquet",
    ]  # fmt: skip


def test_every_column_is_in_the_text():
    from transect.measuring.columns import SCHEMA
    from transect.measuring.planes import PLANE_SCHEMA

    text = PAGE.read_text(encoding="utf-8")
    named = [name for name in (*SCHEMA.names, *PLANE_SCHEMA.names) if not name.endswith(("_low", "_high"))]
    assert [name for name in named if f"`{name}`" not in text] == []
