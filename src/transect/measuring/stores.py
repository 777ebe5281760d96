"""Where finished rows go: into memory, or into a folder from which an interrupted call goes on."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from transect.errors import InvalidInput, StudyError
from transect.measuring.chunks import Chunk, fingerprint
from transect.measuring.columns import SCHEMA
from transect.measuring.work import Row
from transect.storage.atomic import remove_leftovers, write_text
from transect.storage.ownership import LOCK, Ownership
from transect.storage.tables import SCHEMA_VERSION, read_table, write_table

MANIFEST, PATHS, PARTS, TABLE = "manifest.json", "paths.txt", "parts", "table.parquet"
_PART = "[!.]*.parquet"  # without the temporary files of somebody who is writing
_REMEDY = "Use another folder, or delete this one to start anew."


class Store(Protocol):
    """Keeps finished rows."""

    def expect(self, chunk: Chunk) -> None:
        """Take note of paths before they are measured."""

    def end(self, paths: int) -> None:
        """Take note that there are no more than so many paths."""

    def has(self, model: str, chunk: Chunk) -> bool:
        """Whether all rows of a model and chunk are there."""

    def add(self, model: str, chunk: Chunk, rows: Sequence[Row]) -> None:
        """Keep the rows of a model and chunk."""

    def finish(self) -> pa.Table:
        """All rows, of every model."""

    @property
    def rows(self) -> int:
        """Rows kept so far."""


class Memory:
    """Keeps rows until the call ends."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def expect(self, chunk: Chunk) -> None:
        """See :class:`Store`."""

    def end(self, paths: int) -> None:
        """See :class:`Store`."""

    def has(self, model: str, chunk: Chunk) -> bool:
        """See :class:`Store`."""
        return False

    def add(self, model: str, chunk: Chunk, rows: Sequence[Row]) -> None:
        """See :class:`Store`."""
        self._tables.append(table_of(model, chunk, rows))

    def finish(self) -> pa.Table:
        """See :class:`Store`."""
        return pa.concat_tables(self._tables)

    @property
    def rows(self) -> int:
        """See :class:`Store`."""
        return sum(len(table) for table in self._tables)


class Folder:
    """Keeps rows in a folder: a small file for each finished chunk, and one table in the end.

    ``manifest.json`` and ``paths.txt`` say whose rows they are: settings and digests of the models, and a line for each
    path with its digest. They are written before the rows, so that rows can never belong to something else.

    Args:
        folder: The folder.
        ownership: That of the folder.
        settings: What decides the rows.
        models: Name and digest of every model. Models may be added between calls.

    Raises:
        InvalidInput: The folder holds something else; the message says what differs.
    """

    def __init__(
        self, folder: pathlib.Path, ownership: Ownership, settings: Mapping[str, Any], models: Mapping[str, str]
    ) -> None:
        self.folder, self._ownership = folder, ownership
        manifest = self._read_manifest()
        differences = _differences(manifest, settings, models)
        if differences:
            self._refuse(differences)
        self._settings, self._models = dict(settings), manifest["models"] | models
        self._total: int | None = manifest["total"]
        for place in (folder, folder / PARTS):
            place.mkdir(parents=True, exist_ok=True)
            remove_leftovers(place)
        self._write_manifest()
        self._paths = self._read_paths()
        self._tables = self._read_rows()
        self._done = {pair for table in self._tables for pair in _pairs(table)}

    def expect(self, chunk: Chunk) -> None:
        """Take note of paths, or compare them with those of the earlier call.

        Raises:
            InvalidInput: They differ.
        """
        ours, theirs = [fingerprint(path) for path in chunk.paths], self._paths[chunk.first :][: len(chunk.paths)]
        for position, mine, other in zip(chunk.positions, ours, theirs, strict=False):
            if mine != other:
                self._refuse([f"paths: path {position} is another one"])
        if len(theirs) < len(ours):
            if self._total is not None:
                self._refuse([f"paths: {self._total} there, more here"])
            self._append_paths(ours[len(theirs) :])

    def end(self, paths: int) -> None:
        """Take note of the number of paths.

        Raises:
            InvalidInput: The earlier call saw more.
        """
        if len(self._paths) > paths:
            self._refuse([f"paths: {len(self._paths)} there, {paths} here"])
        if self._total is None:
            self._total = paths
            self._write_manifest()

    def has(self, model: str, chunk: Chunk) -> bool:
        """See :class:`Store`."""
        return all((model, position) in self._done for position in chunk.positions)

    def add(self, model: str, chunk: Chunk, rows: Sequence[Row]) -> None:
        """Write the rows of a model and chunk, whole or not at all."""
        table = table_of(model, chunk, rows)
        self._ownership.confirm()
        name = f"{hashlib.sha256(model.encode()).hexdigest()[:12]}-{chunk.first:08d}.parquet"
        write_table(table, self.folder / PARTS / name, csv=False)
        self._tables.append(table)
        self._done.update(_pairs(table))

    def finish(self) -> pa.Table:
        """Write one table of all rows, and delete the parts it is made of."""
        order = {name: index for index, name in enumerate(self._models)}
        table = ordered(pa.concat_tables(self._tables), order)
        self._ownership.confirm()
        write_table(table, self.folder / TABLE)
        for part in (self.folder / PARTS).glob(_PART):
            part.unlink()
        (self.folder / PARTS).rmdir()
        return table

    @property
    def rows(self) -> int:
        """See :class:`Store`."""
        return len(self._done)

    def _read_rows(self) -> list[pa.Table]:
        """The table of an earlier call, and the parts it does not have (all, if it was killed before deleting them)."""
        whole, found = self.folder / TABLE, []
        done: set[tuple[str, int]] = set()
        for file in ([whole] if whole.exists() else []) + sorted((self.folder / PARTS).glob(_PART)):
            try:
                table = read_table(file, SCHEMA)
            except StudyError as error:
                raise InvalidInput(f"out: {error}. {_REMEDY}") from error
            if not done.issuperset(pairs := _pairs(table)):
                found.append(table)
                done.update(pairs)
        return found

    def _read_manifest(self) -> dict[str, Any]:
        path = self.folder / MANIFEST
        if not path.exists():
            return {"schema_version": SCHEMA_VERSION, "settings": None, "models": {}, "total": None}
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            known = {key: found[key] for key in ("schema_version", "settings", "models", "total")}
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"out: {path} is damaged, or of something else ({error!r}). {_REMEDY}") from error
        return known

    def _write_manifest(self) -> None:
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "settings": self._settings,
            "models": self._models,
            "total": self._total,
        }
        write_text(self.folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")

    def _read_paths(self) -> list[str]:
        """Digests of the paths, without a line that was cut off in the middle; the file is left without it too."""
        path = self.folder / PATHS
        lines = path.read_text(encoding="ascii").split("\n")[:-1] if path.exists() else []
        write_text(path, "".join(f"{line}\n" for line in lines))
        return lines

    def _append_paths(self, digests: Sequence[str]) -> None:
        with open(self.folder / PATHS, "a", encoding="ascii") as file:
            file.writelines(f"{digest}\n" for digest in digests)
            file.flush()
            os.fsync(file.fileno())
        self._paths += digests

    def _refuse(self, differences: Sequence[str]) -> None:
        lines = [f"out: {self.folder} holds measurements of something else:", *(f"  {line}" for line in differences)]
        raise InvalidInput("\n".join([*lines, f"{_REMEDY} Its rows are as they were."]))


def as_folder(out: str | os.PathLike[str]) -> pathlib.Path:
    """The folder meant by ``out``.

    Raises:
        InvalidInput: It names a file, or a folder with something else in it.
    """
    folder = pathlib.Path(out)
    if folder.is_file() or folder.suffix in (".parquet", ".csv"):
        raise InvalidInput(
            f"out: expected a folder, got {folder}; for one file, save the result: measure(...).save({str(out)!r})."
        )
    if not (folder / MANIFEST).exists() and folder.exists() and any(file.name != LOCK for file in folder.iterdir()):
        raise InvalidInput(
            f"out: {folder} is not empty, and holds no measurements of an earlier call; give a folder of its own."
        )
    return folder


def table_of(model: str, chunk: Chunk, rows: Sequence[Row]) -> pa.Table:
    """The rows of a model and chunk as a table."""
    named = [
        {"model": model, "path": position, "path_name": name} | row
        for position, name, row in zip(chunk.positions, chunk.names, rows, strict=True)
    ]
    return pa.Table.from_pylist(named, schema=SCHEMA)


def ordered(table: pa.Table, models: Mapping[str, int]) -> pa.Table:
    """The rows of some models, in their order and that of the paths."""
    keys = [(models[model], path, row) for row, (model, path) in enumerate(_pairs(table)) if model in models]
    return table.take([row for *_, row in sorted(keys)]).combine_chunks()


def _pairs(table: pa.Table) -> list[tuple[str, int]]:
    return list(zip(table["model"].to_pylist(), table["path"].to_pylist(), strict=True))


def _differences(manifest: Mapping[str, Any], settings: Mapping[str, Any], models: Mapping[str, str]) -> list[str]:
    """One line for each way in which an earlier call differs from this one."""
    if manifest["schema_version"] != SCHEMA_VERSION:
        return [f"tables of version {manifest['schema_version']}, this is version {SCHEMA_VERSION}"]
    theirs = manifest["settings"] or settings
    lines = [
        f"{name}: {theirs.get(name, 'nothing')!r} there, {settings.get(name, 'nothing')!r} here"
        for name in dict.fromkeys([*theirs, *settings])
        if theirs.get(name) != settings.get(name)
    ]
    known = manifest["models"]
    return lines + [
        f"models: {name!r} has other weights, or another structure"
        for name, digest in models.items()
        if known.get(name, digest) != digest
    ]
