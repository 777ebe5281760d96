"""Tables survive the way to the disk and back, and what is not such a table is refused."""

from __future__ import annotations

import csv
import math

import pyarrow as pa
import pyarrow.parquet
import pytest

from transect.errors import StudyError
from transect.study.columns import RUN_SCHEMA, TIMING_SCHEMA
from transect.tables.files import as_table, make_schema, make_table, read_table, with_settings, write_csv, write_table


def timing(width: int, seconds: float = 0.1) -> dict[str, object]:
    return {
        "study": "s", "run": "0a", "label": "width 3", "data": "digits", "label_noise": 0.2, "model": "mlp",
        "batch_norm": False, "width": width, "seed": 0, "variant": "", "way": "",
        "measuring": "0b", "epoch": 9, "last": True, "kind": "circle",
        "around": "samples", "split": "test", "samples": "all", "legacy": "", "method": "exact",
        "train_seconds": seconds, "measure_seconds": 1 / 3,
    }  # fmt: skip


def test_parquet_and_csv_hold_what_was_written(tmp_path):
    rows = [timing(3), timing(5, math.nan)]
    path = write_table(make_table(rows, TIMING_SCHEMA), tmp_path / "new" / "width=7" / "t.parquet")
    back = read_table(path, TIMING_SCHEMA).to_pylist()
    assert back[0] == rows[0]
    assert math.isnan(back[1]["train_seconds"])
    with path.with_suffix(".csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [int(line["width"]) for line in lines] == [3, 5]
    assert float(lines[0]["measure_seconds"]) == 1 / 3


def test_nothing_but_the_tables_is_left(tmp_path):
    write_table(make_table([timing(3)], TIMING_SCHEMA), tmp_path / "t.parquet")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.csv", "t.parquet"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"widht": 3}, "widht"),
        ({"study": None}, "study"),
        ({"width": "wide"}, "does not fit"),
        ({"width": 1.5}, "does not fit"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change, named):
    with pytest.raises(StudyError, match=named):
        make_table([timing(3) | change], TIMING_SCHEMA)


def test_a_missing_column_is_named():
    row = timing(3)
    del row["label"]
    with pytest.raises(StudyError, match="label"):
        make_table([row], TIMING_SCHEMA)


def test_another_schema_version_is_refused(tmp_path):
    table = make_table([timing(3)], TIMING_SCHEMA).replace_schema_metadata({b"transect.schema_version": b"999"})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(StudyError, match="found version 999"):
        read_table(tmp_path / "t.parquet", TIMING_SCHEMA)


@pytest.mark.parametrize("content", [None, b"", b"PAR1 this is no table PAR1"])
def test_what_is_no_parquet_file_is_refused(tmp_path, content):
    path = tmp_path / "t.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StudyError, match="cannot read"):
        read_table(path, RUN_SCHEMA)


def test_a_bit_that_flips_is_noticed_or_changes_nothing(tmp_path):
    right = make_table([timing(width) for width in range(40)], TIMING_SCHEMA)
    path = write_table(right, tmp_path / "t.parquet", csv=False)
    content, noticed = path.read_bytes(), 0
    for place in range(3, len(content), len(content) // 300):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        try:
            assert read_table(path, TIMING_SCHEMA).equals(right)
        except StudyError:
            noticed += 1
    assert noticed > 100


def test_text_that_a_spreadsheet_would_run_is_escaped_and_numbers_are_not(tmp_path):
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "plain", "a=b", None, "'=1", ""]
    table = pa.table({"=name": texts, "number": [-1.5] * len(texts), "words": ["-x"] * len(texts)})
    with write_csv(table, tmp_path / "t.csv").open(newline="") as file:
        head, *lines = csv.reader(file)
    assert head == ["'=name", "number", "words"]
    escaped = ["'" + text for text in texts[:8]] + ["plain", "a=b", "", "'=1", ""]
    assert lines == [[text, "-1.5", "'-x"] for text in escaped]
    back = read_table(write_table(make_table([timing(3) | {"label": "=x"}], TIMING_SCHEMA), tmp_path / "p.parquet"),
                      TIMING_SCHEMA)  # fmt: skip
    assert back["label"].to_pylist() == ["=x"]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_text_of_every_kind_is_escaped(kind, tmp_path):
    table = pa.table({"a": pa.array(["=1+1", "b"]).cast(kind)})
    assert write_csv(table, tmp_path / "t.csv").read_text().split() == ['"a"', '"\'=1+1"', '"b"']


def test_foreign_parquet_and_the_other_table_are_refused(tmp_path):
    pyarrow.parquet.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(StudyError, match="version none"):
        read_table(tmp_path / "foreign.parquet", RUN_SCHEMA)
    write_table(make_table([timing(3)], TIMING_SCHEMA), tmp_path / "timings.parquet")
    with pytest.raises(StudyError, match="expected the columns"):
        read_table(tmp_path / "timings.parquet", RUN_SCHEMA)


def test_columns_that_may_be_empty_are_empty_where_nothing_is_given(tmp_path):
    schema = make_schema(("needed", pa.int64()), ("other", pa.float64()), also_null=("other",))
    path = write_table(make_table([{"needed": 1}, {"needed": 2, "other": 0.5}], schema), tmp_path / "t.parquet")
    assert read_table(path, schema).to_pylist() == [{"needed": 1, "other": None}, {"needed": 2, "other": 0.5}]
    with pytest.raises(StudyError, match="needed"):
        make_table([{"other": 0.5}], schema)


def test_a_table_from_before_a_column_was_there_is_read_with_it_empty(tmp_path):
    """As when a measure is added: what was measured before goes on being read."""
    before = make_schema(("needed", pa.int64()), ("last", pa.float64()), also_null=("last",))
    after = make_schema(("needed", pa.int64()), ("new", pa.int64()), ("last", pa.float64()), also_null=("new", "last"))
    rows = [{"needed": 1, "last": 0.5, "own_gap": 2.0}]
    path = write_table(make_table(rows, with_settings(before, rows)), tmp_path / "t.parquet")
    found = read_table(path, after)
    assert found.schema.equals(with_settings(after, rows))
    assert found.to_pylist() == [{"needed": 1, "new": None, "last": 0.5, "own_gap": 2.0}]
    with pytest.raises(StudyError, match="expected the columns"):  # which every row must have
        read_table(path, make_schema(("needed", pa.int64()), ("new", pa.int64()), ("last", pa.float64())))
    with pytest.raises(StudyError, match="expected the columns"):  # written by somebody who knows more
        read_table(write_table(make_table([{"needed": 1}], after), path), before)


def test_a_column_that_studies_called_as_traces_do_is_read_by_its_present_name(tmp_path):
    def named(name):
        numbers = ((name, pa.float64()), (f"{name}_std", pa.float64()))
        return make_schema(("study", pa.string()), *numbers, also_null=[f"{name}_std"])

    old = make_table([{"study": "a", "normalised_deviation": 2.0}], named("normalised_deviation"))
    file, schema = write_table(old, tmp_path / "old.parquet"), named("scaled_deviation")
    for found in (read_table(file, schema), as_table(file), as_table(old)):
        assert found.to_pylist() == [{"study": "a", "scaled_deviation": 2.0, "scaled_deviation_std": None}]
    of_traces = pa.table([[2.0], [1.0]], ["normalised_deviation", "normalised_deviation_low"])
    assert as_table(of_traces).column_names == of_traces.column_names


def test_tables_of_another_schema_version_are_drawn_neither(tmp_path):
    old = pa.table([[1.0]], ["density"]).replace_schema_metadata({b"transect.schema_version": b"2"})
    pyarrow.parquet.write_table(old, tmp_path / "old.parquet")
    with pytest.raises(StudyError, match="found version 2; its columns mean something else"):
        as_table(tmp_path / "old.parquet")
