"""The page of the measures: its table is the list of the package, and its example runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")


def test_the_table_is_the_list_of_measures(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    sys.modules.pop("update_tables", None)
    import update_tables

    table = re.search(r"<!-- measures:begin -->\n(.*?)\n<!-- measures:end -->", PAGE, re.DOTALL)
    assert table is not None
    assert table[1] == update_tables.measures_table()


def test_the_example_runs():
    known: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, known)
    (values,) = known["trace"].measure("largest_gap")
    assert known["table"].column("own_largest_gap")[0] == float(values.norm()) > 0
