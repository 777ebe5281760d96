"""Tables in Parquet and CSV, and files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from transect.errors import InvalidInput, StudyError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write; move it over ``path`` if the block ends well, delete it if not.

    The temporary file lies in the same folder, so that the move is one step of the file system, and has a name of its
    own, so that two processes which write the same file at once do not meet: the last one wins, whole.

    Args:
        path: The file to make or replace. Its folder is made where it is missing.

    Yields:
        Path that does not exist yet, with the suffix of ``path``; the block must make it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{os.getpid()}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield temporary
        _settle(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete the temporary files that a killed process left in a folder; call it only where nobody is writing."""
    for leftover in Path(folder).glob(".*.part*"):
        leftover.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """Put the file's bytes on the disk before its name is there, so that a power cut leaves no empty file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


SCHEMA_VERSION = 3  # 2: density and the crossings of studies counted anchors too
_FORMULA = r"^[=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"  # the last four are full-width = + - @
_STUDYS = "normalised_deviation"  # what studies called the scaled deviation
_VERSION_KEY = b"transect.schema_version"


def make_schema(
    *columns: tuple[str, pa.DataType], nullable: bool = False, also_null: Collection[str] = ()
) -> pa.Schema:
    """A schema that carries the version of the tables of this package.

    Args:
        columns: Names and types.
        nullable: Whether values may be missing.
        also_null: Columns whose values may be missing where others' may not.
    """
    fields = [pa.field(name, kind, nullable=nullable or name in also_null) for name, kind in columns]
    return pa.schema(fields, metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()})


def is_setting(column: str) -> bool:
    """Whether a column is that of a setting, called by its full name such as ``train.learning_rate``."""
    return "." in column


OWN = "own_"
"""Begins the names of columns of a user's own measures."""


def is_own(column: str) -> bool:
    """Whether a column is that of a measure of a user's own."""
    return column.startswith(OWN)


def with_settings(schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> pa.Schema:
    """A schema with the columns that rows have beside its own, of settings and of a user's measures, typed by their
    values; they may be empty.

    Args:
        schema: What every table of the kind has.
        rows: One mapping from column name to value per row.
    """
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name in filter(_is_beside, row):
            values.setdefault(name, []).append(row[name])
    return pa.schema([*schema, *(pa.field(name, _kind(found)) for name, found in values.items())], schema.metadata)


def _is_beside(column: str) -> bool:
    return is_setting(column) or is_own(column)


def _kind(values: list[Any]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return pa.bool_()
    if kinds <= {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()


def make_table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Put rows into a table of the given schema.

    Args:
        rows: One mapping from column name to value per row; every column of the schema but those that may be empty.
        schema: What the table is to be, made by :func:`make_schema`.

    Returns:
        The table, columns in the order of the schema.

    Raises:
        StudyError: If a row lacks a column, has one too many, or a value does not fit its type.
    """
    rows = list(rows)
    for row in rows:
        _refuse_other_columns(row, schema)
    try:
        columns = [_column([row.get(field.name) for row in rows], field.type) for field in schema]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StudyError(f"a value does not fit its column of the table: {error}") from error
    return pa.table(columns, schema=schema)


def write_table(table: pa.Table, path: str | os.PathLike[str], csv: bool = True) -> Path:
    """Write a table as Parquet, and as CSV of the same name beside it; both atomically.

    Args:
        table: A table made by :func:`make_table` (or joined from such).
        path: Where the Parquet file goes, ``*.parquet``.
        csv: Whether to write the CSV file too.

    Returns:
        ``path``.
    """
    path = Path(path)
    if csv:
        write_csv(table, path.with_suffix(".csv"))
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, write_page_checksum=True)
    return path


def write_csv(table: pa.Table, path: str | os.PathLike[str]) -> Path:
    """Write a table as CSV, atomically. Text that a spreadsheet would run as a formula has an apostrophe before it."""
    path = Path(path)
    numbers = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
    columns = [
        column if any(is_kind(column.type) for is_kind in numbers) else _harmless(column.cast(pa.string()))
        for column in table.columns
    ]
    names = _harmless(pa.array(table.column_names)).to_pylist()
    with replacing(path) as temporary:
        pyarrow.csv.write_csv(pa.table(columns, names=names), temporary)
    return path


def _harmless(text: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    begun = pyarrow.compute.match_substring_regex(text, _FORMULA)
    return pyarrow.compute.if_else(begun, pyarrow.compute.binary_join_element_wise("'", text, ""), text)


def read_table(path: str | os.PathLike[str], *schemas: pa.Schema) -> pa.Table:
    """Read a table written by :func:`write_table`.

    Columns that may be empty and were not there yet when it was written, such as those of a new measure, are empty.

    Args:
        path: The Parquet file.
        schemas: What the table must be, one of them; it may have columns beside that (:func:`with_settings`).

    Returns:
        The table.

    Raises:
        StudyError: If there is no such file, it is not Parquet, is of another schema version or has other columns.
    """
    try:
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StudyError(f"cannot read the table {path}: {error}") from error
    _refuse_other_version(table.schema, path)
    table = with_present_names(table)
    own = [field for field in table.schema if not _is_beside(field.name)]
    known = {field.name for field in own}
    schema = next((one for one in schemas if own and pa.schema(own).equals(_without_new(one, known))), None)
    if schema is None:
        wanted = " or ".join(str(one.names) for one in schemas)
        raise StudyError(f"expected the columns {wanted} in {path}, found {table.schema.names}")
    beside = [field for field in table.schema if _is_beside(field.name)]
    columns = [_read_or_empty(table, field) for field in (*schema, *beside)]
    return pa.table(columns, schema=pa.schema([*schema, *beside], table.schema.metadata))


def _without_new(schema: pa.Schema, known: Collection[str]) -> pa.Schema:
    return pa.schema([field for field in schema if field.name in known or not field.nullable])


def _read_or_empty(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    return table[field.name] if field.name in table.column_names else pa.nulls(len(table), field.type)


def as_table(table: pa.Table | str | os.PathLike[str]) -> pa.Table:
    """A table as it is, or read from the Parquet file of the given path; columns by their present names.

    Raises:
        InvalidInput: If the file cannot be read.
        StudyError: If it is a table of this package, of another schema version.
    """
    source = "the given table" if isinstance(table, pa.Table) else os.fspath(table)
    if not isinstance(table, pa.Table):
        try:
            with pyarrow.parquet.ParquetFile(table) as file:
                table = file.read()
        except (OSError, pa.ArrowInvalid) as error:
            raise InvalidInput(f"table: expected a Parquet file, cannot read {source}: {error}") from error
    if _VERSION_KEY in (table.schema.metadata or {}):
        _refuse_other_version(table.schema, source)
    return with_present_names(table)


def with_present_names(table: pa.Table) -> pa.Table:
    """A table with its columns as they are called now; before, two different measures had one name."""
    names = list(table.column_names)
    if _STUDYS in names and f"{_STUDYS}_low" not in names:  # with bounds it is that of a trace: per unit of length
        names = [name.replace(_STUDYS, "scaled_deviation") for name in names]
    return table.rename_columns(names)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """An array by way of a checked cast: made directly, an integer array would cut off fractions without a word."""
    return pa.array(values).cast(kind)


def _refuse_other_columns(row: Mapping[str, Any], schema: pa.Schema) -> None:
    given = {name for name, value in row.items() if value is not None}
    needed = {field.name for field in schema if not field.nullable}
    missing, unknown = needed - given, set(row) - set(schema.names)
    if missing or unknown:
        raise StudyError(f"a row of the table lacks {sorted(missing)} and has the unknown columns {sorted(unknown)}")


def _refuse_other_version(schema: pa.Schema, path: str | os.PathLike[str]) -> None:
    found = (schema.metadata or {}).get(_VERSION_KEY, b"none").decode(errors="replace")
    if found != str(SCHEMA_VERSION):
        raise StudyError(
            f"expected a table of schema version {SCHEMA_VERSION} in {path}, found version {found}; "
            "its columns mean something else. Make it again with this version of Transect (a study that is run again "
            "keeps its trained networks), or read it with the version that wrote it"
        )
