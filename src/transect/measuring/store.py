"""Where finished rows go: into memory, or into a folder from which an interrupted call goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import pyarrow as pa

from transect._version import __version__
from transect.errors import InvalidInput, StudyError
from transect.measuring.kinds import PATHS, Kind
from transect.measuring.paths import Chunk, fingerprint
from transect.measuring.prepared import Prepared
from transect.measuring.rows import RowStore, named, ordered
from transect.support.types import Row
from transect.support.untrusted import parse_json
from transect.tables.files import (
    SCHEMA_VERSION,
    make_table,
    read_table,
    remove_leftovers,
    with_settings,
    write_table,
    write_text,
)
from transect.tables.ownership import Ownership

MANIFEST, PARTS, TABLE = "manifest.json", "parts", "table.parquet"
_PART = "[!.]*.parquet"  # without the temporary files of somebody who is writing
_LINE = re.compile(r'[0-9a-f]{16} "[ -~]*"')
_REMEDY = "Use another folder, or delete this one to start anew."

logger = logging.getLogger("transect")


class OtherMeasurements(InvalidInput):
    """A folder holds rows of something else, or files that nobody can use; it is left as it was."""


class Store(Protocol):
    """Keeps finished rows."""

    def expect(self, chunk: Chunk) -> None:
        """Take note of paths before they are measured."""

    def end(self, paths: int) -> None:
        """Take note that there are no more than so many paths."""

    def knows(self, model: str) -> bool:
        """Whether a model is one of an earlier call, to be compared with what it was before its rows are used."""

    def admit(self, model: Prepared) -> None:
        """Take note of what a model computes before it is measured, or compare it with what it was."""

    def has(self, model: str, chunk: Chunk) -> bool:
        """Whether all rows of a model and chunk are there."""

    def add(self, model: str, chunk: Chunk, rows: Sequence[Row]) -> None:
        """Keep the rows of a model and chunk."""

    def failed(self, model: str) -> None:
        """Take note that a model cannot be measured as it is."""

    def finish(self) -> pa.Table:
        """All rows of every model that has them all."""

    @property
    def rows(self) -> int:
        """Rows kept so far."""


class Memory:
    """Keeps rows until the call ends.

    Args:
        kind: What they are of.
    """

    def __init__(self, kind: Kind = PATHS) -> None:
        self._rows = RowStore(kind)

    def expect(self, chunk: Chunk) -> None:
        """See :class:`Store`."""

    def end(self, paths: int) -> None:
        """See :class:`Store`."""

    def knows(self, model: str) -> bool:
        """See :class:`Store`."""
        return False

    def admit(self, model: Prepared) -> None:
        """See :class:`Store`."""

    def has(self, model: str, chunk: Chunk) -> bool:
        """See :class:`Store`."""
        return False

    def add(self, model: str, chunk: Chunk, rows: Sequence[Row]) -> None:
        """See :class:`Store`."""
        self._rows.add(named(model, chunk, rows))

    def failed(self, model: str) -> None:
        """See :class:`Store`."""

    def finish(self) -> pa.Table:
        """See :class:`Store`."""
        return self._rows.table()

    @property
    def rows(self) -> int:
        """See :class:`Store`."""
        return len(self._rows)


class Folder:
    """Keeps rows in a folder: a small file for each finished chunk, and one table of all models that are complete.

    ``manifest.json`` and ``paths.txt`` (of planes ``planes.txt``) say whose rows they are: settings, what each model
    computes, and a line for each path with its digest and name. They are written before the rows, so that rows can
    never belong to something else.

    Args:
        folder: The folder.
        ownership: That of the folder.
        settings: What decides the rows beside models and paths.
        kind: What the rows are of.

    Raises:
        OtherMeasurements: The folder holds something else, or files that are damaged; the message says what.
    """

    def __init__(
        self, folder: pathlib.Path, ownership: Ownership, settings: Mapping[str, Any], kind: Kind = PATHS
    ) -> None:
        self.folder, self._ownership, self._kind = folder, ownership, kind
        self._digests = folder / f"{kind.noun}s.txt"
        manifest = _manifest(folder / MANIFEST)
        self._settings = {"transect": __version__} | kind.settings() | dict(settings)
        self._refuse_other_settings(manifest["settings"] or self._settings)
        self._models: dict[str, str] = manifest["models"]
        self._failed: set[str] = set(manifest["failed"])
        self._total: int | None = manifest["total"]
        self._write_manifest()  # before anything else, so that whoever is killed leaves a folder of measurements
        (folder / PARTS).mkdir(exist_ok=True)
        for place in (folder, folder / PARTS):
            remove_leftovers(place)
        self._paths = self._read_paths()
        self._rows = self._read_rows()

    def expect(self, chunk: Chunk) -> None:
        """Take note of paths, or compare them with those of the earlier call.

        Raises:
            OtherMeasurements: They differ.
        """
        ours = [f"{fingerprint(path)} {json.dumps(name)}" for path, name in zip(chunk.places, chunk.names, strict=True)]
        theirs = self._paths[chunk.first :][: len(ours)]
        noun = self._kind.noun
        for position, mine, other in zip(chunk.positions, ours, theirs, strict=False):
            if mine[:16] != other[:16]:
                self._refuse([f"{noun}s: {noun} {position} is another one"])
            if mine != other:
                self._refuse([f"{noun}s: {noun} {position} is called {other[17:]} there, {mine[17:]} here"])
        if len(theirs) < len(ours):
            if self._total is not None:
                self._refuse([f"{noun}s: {self._total} there, more here"])
            self._append_paths(ours[len(theirs) :])

    def end(self, paths: int) -> None:
        """Take note of the number of paths.

        Raises:
            OtherMeasurements: The earlier call saw more.
        """
        if len(self._paths) > paths:
            self._refuse([f"{self._kind.noun}s: {len(self._paths)} there, {paths} here"])
        if self._total is None:
            self._total = paths
            self._write_manifest()

    def knows(self, model: str) -> bool:
        """See :class:`Store`."""
        return model in self._models

    def admit(self, model: Prepared) -> None:
        """Take note of what a model computes, or compare it with what it was; rows of one that failed make place.

        Raises:
            OtherMeasurements: It computes something else, and was not known to have failed.
        """
        name, rows = model.name, self._rows.count(model.name)
        if self._models.get(name) == model.fingerprint:
            return
        if rows and name not in self._failed:
            self._refuse(
                [f"models: {name!r} computes something else (other weights, structure or code); give it another name"]
            )
        if rows:
            logger.info("%s failed, and computes something else now: its %d rows go", name, rows)
            self._drop(name)
        self._models[name] = model.fingerprint
        self._write_manifest()

    def has(self, model: str, chunk: Chunk) -> bool:
        """See :class:`Store`."""
        return self._rows.has(model, chunk.positions)

    def add(self, model: str, chunk: Chunk, rows: Sequence[Row]) -> None:
        """Write the rows of a model and chunk, whole or not at all."""
        self._ownership.confirm()
        whole = named(model, chunk, rows)
        file = self.folder / PARTS / f"{_prefix(model)}{chunk.first:08d}.parquet"
        write_table(make_table(whole, with_settings(self._kind.schema, whole)), file, csv=False)
        self._rows.add(whole)

    def failed(self, model: str) -> None:
        """See :class:`Store`."""
        self._failed.add(model)
        self._write_manifest()

    def finish(self) -> pa.Table:
        """Write one table of the models that are complete, and delete the parts it is made of."""
        complete = [model for model in self._models if self._rows.count(model) == self._total]
        if not self._failed.isdisjoint(complete):
            self._failed.difference_update(complete)
            self._write_manifest()
        table = ordered(self._rows.table(), {model: index for index, model in enumerate(complete)})
        self._ownership.confirm()
        write_table(table, self.folder / TABLE)
        for model in complete:
            self._delete_parts(model)
        with suppress(OSError):  # parts of others are there
            (self.folder / PARTS).rmdir()
        return table

    @property
    def rows(self) -> int:
        """See :class:`Store`."""
        return len(self._rows)

    def _drop(self, model: str) -> None:
        self._ownership.confirm()
        self._delete_parts(model)
        self._rows.drop(model)
        self._failed.discard(model)

    def _delete_parts(self, model: str) -> None:
        for part in (self.folder / PARTS).glob(f"{_prefix(model)}*.parquet"):
            part.unlink()

    def _read_rows(self) -> RowStore:
        """The table of an earlier call, and the parts it does not have (all, if it was killed before deleting them)."""
        whole, found = self.folder / TABLE, RowStore(self._kind)
        for file in ([whole] if whole.exists() else []) + sorted((self.folder / PARTS).glob(_PART)):
            try:
                rows = read_table(file, self._kind.schema).to_pylist()
            except (StudyError, ValueError) as error:
                raise OtherMeasurements(f"out: {error}. Delete this file: its rows are then measured again.") from error
            noun = self._kind.noun
            if any(row["model"] not in self._models or not 0 <= row[noun] < len(self._paths) for row in rows):
                raise OtherMeasurements(
                    f"out: {file} has rows of models or {noun}s that are not in {self.folder / MANIFEST} or "
                    f"{self._digests}: one of these files is damaged. {_REMEDY}"
                )
            found.add(rows)
        return found

    def _write_manifest(self) -> None:
        self._ownership.confirm()
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "settings": self._settings,
            "models": self._models,
            "failed": sorted(self._failed),
            "total": self._total,
        }
        write_text(self.folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")

    def _read_paths(self) -> list[str]:
        """Digests and names of the paths; a line that was cut off in the middle is taken away."""
        path = self._digests
        lines = path.read_text(encoding="ascii", errors="replace").split("\n")[:-1] if path.exists() else []
        for number, line in enumerate(lines, 1):
            if not _LINE.fullmatch(line):
                raise OtherMeasurements(f"out: line {number} of {path} is damaged. {_REMEDY}")
        write_text(path, "".join(f"{line}\n" for line in lines))
        return lines

    def _append_paths(self, lines: Sequence[str]) -> None:
        self._ownership.confirm()
        with open(self._digests, "a", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        self._paths += lines

    def _refuse_other_settings(self, theirs: Mapping[str, Any]) -> None:
        ours = self._settings
        lines = [
            f"{name}: {theirs.get(name, 'nothing')!r} there, {ours.get(name, 'nothing')!r} here"
            for name in dict.fromkeys([*theirs, *ours])
            if theirs.get(name) != ours.get(name)
        ]
        if lines:
            self._refuse(lines)

    def _refuse(self, differences: Sequence[str]) -> None:
        lines = [f"out: {self.folder} holds measurements of something else:", *(f"  {line}" for line in differences)]
        raise OtherMeasurements("\n".join([*lines, f"{_REMEDY} Its rows are as they were."]))


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
    seen = [file.name for file in folder.iterdir()] if folder.exists() else []
    if MANIFEST not in seen and any(not name.startswith(".") for name in seen):  # hidden: locks, half written files
        raise InvalidInput(
            f"out: {folder} is not empty, and holds no measurements of an earlier call; give a folder of its own."
        )
    return folder


def _prefix(model: str) -> str:
    return f"{hashlib.sha256(model.encode()).hexdigest()[:12]}-"


def _manifest(path: pathlib.Path) -> dict[str, Any]:
    """What an earlier call wrote down, or nothing.

    Raises:
        OtherMeasurements: It is damaged, or of another version.
    """
    if not path.exists():
        return {"settings": None, "models": {}, "failed": [], "total": None}
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        version = found["schema_version"]
        if version == SCHEMA_VERSION:
            kinds = {"settings": dict, "models": dict, "failed": list, "total": int | None}
            wrong = [name for name, kind in kinds.items() if not isinstance(found[name], kind)]
            if wrong or not all(isinstance(digest, str) for digest in found["models"].values()):
                raise ValueError(f"{', '.join(wrong) or 'models'} of another kind")
            return {name: found[name] for name in kinds}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OtherMeasurements(f"out: {path} is damaged, or of something else ({error!r}). {_REMEDY}") from error
    raise OtherMeasurements(
        f"out: {path} is of tables of version {version}, this is version {SCHEMA_VERSION}. {_REMEDY}"
    )
