"""Where a study keeps what: one folder for each network, in it one file for each thing that is finished."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.csv

from transect.errors import StudyError
from transect.jobs.job import ReportProgress
from transect.study.columns import RUN_SCHEMA
from transect.study.config import MeasuringConfig, NetworkConfig, StudyConfig
from transect.study.sections import differences
from transect.study.training.checkpoint import snapshot_file
from transect.support.types import Row
from transect.support.untrusted import parse_json, refuse
from transect.tables.files import (
    SCHEMA_VERSION,
    make_table,
    read_table,
    replacing,
    with_settings,
    write_table,
    write_text,
)

SECONDS_BETWEEN_NOTES = 2.0
_PREFIX = "state-"
SECONDS_TO_SILENCE = 600.0
"""A worker on another machine that has written nothing for so long is taken for dead."""


class Stated:
    """Passes reports on, and keeps the last one in a file while the block lasts.

    Args:
        folder: Where the file goes, one for each worker; removed when the block ends, also by an error.
        report: Who hears of the steps beside it.
    """

    def __init__(self, folder: Path, report: ReportProgress) -> None:
        self._path, self._report = folder / f"{_PREFIX}{socket.gethostname()}-{os.getpid()}.json", report
        self._began = time.time()
        self._next = 0.0

    def __call__(self, stage: str, step: int, steps: int) -> None:
        """Say that ``step`` of ``steps`` steps of a stage are done."""
        self._report(stage, step, steps)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS_BETWEEN_NOTES
            note = {"stage": stage, "step": step, "steps": steps, "began": self._began, "noted": time.time()}
            write_text(self._path, json.dumps(note | {"host": socket.gethostname(), "process": os.getpid()}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True)
class State:
    """What a worker said last.

    Attributes:
        stage: What it was doing.
        step: Steps done.
        steps: Of how many; 0 where unknown.
        seconds: Since it began.
    """

    stage: str
    step: int
    steps: int
    seconds: float


def read_states(folder: Path) -> list[State]:
    """What living workers are doing in a folder."""
    notes = [_read(path) for path in sorted(folder.glob(f"{_PREFIX}*.json"))]
    return [
        State(note["stage"], note["step"], note["steps"], time.time() - note["began"])
        for note in notes
        if note is not None and _is_alive(note)
    ]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        note: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it was removed this moment
        return None
    return note


def _is_alive(note: dict[str, Any]) -> bool:
    if note["host"] != socket.gethostname():
        return bool(time.time() - note["noted"] < SECONDS_TO_SILENCE)
    try:
        os.kill(note["process"], 0)
    except ProcessLookupError:
        return False
    except OSError:  # it lives, and is somebody else's
        return True
    return True


CONFIGURATION, RUNS = "study.json", "runs"
TABLE, PATH_TABLE, TIMING_TABLE = "table.parquet", "paths.parquet", "timings.parquet"
BLOCK = 64
"""Paths that are measured together, in one piece of work: part of the result in its last bits, so it is fixed."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one network.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """The settings of the network, for people and for ``study status``."""
        return self.path / "network.json"

    @property
    def evaluation(self) -> Path:
        """Errors and the like after each epoch that is measured; written when the training has ended."""
        return self.path / "evaluation.json"

    @property
    def error(self) -> Path:
        """The traceback of what failed last."""
        return self.path / "error.txt"

    def weights(self, epoch: int | str) -> Path:
        """The weights after an epoch, or the last ones."""
        return snapshot_file(self.path, epoch)

    def part(self, measuring: MeasuringConfig, index: int) -> Path:
        """The rows of one block of paths of a way of measuring; of other versions of the tables they are made again."""
        return self.path / "parts" / f"{measuring.hash()}-{index:04d}-v{SCHEMA_VERSION}.parquet"

    def is_trained(self, epochs: Collection[int | str]) -> bool:
        """Whether training has ended, and left the weights of these epochs."""
        if not self.evaluation.exists():
            return False
        found = self.read_evaluation()["epochs"]
        return all(str(epoch) in found for epoch in epochs)

    def read_evaluation(self) -> dict[str, Any]:
        """What :attr:`evaluation` holds.

        Raises:
            StudyError: If it is damaged.
        """
        try:
            found: dict[str, Any] = parse_json(self.evaluation.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or not isinstance(found.get("epochs"), dict):
                refuse("it says nothing of epochs")
        except (OSError, ValueError) as error:
            raise StudyError(
                f"cannot read {self.evaluation}: {error}; delete the folder {self.path} to make this network again"
            ) from error
        return found

    @property
    def rows(self) -> Path:
        """Rows of this network that another machine has made, of which there are neither paths nor weights here."""
        return self.path / f"rows-v{SCHEMA_VERSION}.parquet"

    def read_rows(self) -> dict[str, dict[str, Any]]:
        """What :attr:`rows` holds, by the hash of the way of measuring.

        Raises:
            StudyError: If it is damaged.
        """
        found = read_table(self.rows, RUN_SCHEMA).to_pylist() if self.rows.exists() else []
        return {row["measuring"]: row for row in found}

    def missing_parts(self, measuring: MeasuringConfig) -> list[int]:
        """Which blocks of a way of measuring are not there yet; none where its row is."""
        if measuring.hash() in self.read_rows():
            return []
        return [index for index in range(len(blocks(measuring))) if not self.part(measuring, index).exists()]

    def is_finished(self, epochs: Collection[int | str], measurings: Sequence[MeasuringConfig]) -> bool:
        """Whether there is nothing left to do for this network."""
        left = [one for one in measurings if one.hash() not in self.read_rows()]
        return not left or (self.is_trained(epochs) and not any(self.missing_parts(one) for one in left))


def run_folder(folder: Path, network: NetworkConfig) -> RunFolder:
    """The folder of a network in that of its study."""
    return RunFolder(folder / RUNS / network.folder())


def blocks(measuring: MeasuringConfig) -> list[range]:
    """The paths of a way of measuring in blocks, by their index."""
    paths, first = measuring.paths.paths, measuring.measures.first_paths
    total = paths if first is None else min(paths, first)
    return [range(start, min(start + BLOCK, total)) for start in range(0, total, BLOCK)]


def borrow_networks(config: StudyConfig, folder: Path, others: Sequence[Path]) -> int:
    """Copy the networks of a study that lie trained in the folders of others: they are not trained again.

    A network is the same if everything that its training depends on is.

    Args:
        config: The study.
        folder: Its folder.
        others: Folders of other studies.

    Returns:
        How many were copied.

    Raises:
        StudyError: If one of the folders holds no study.
    """
    for other in others:
        if not (other / RUNS).is_dir():
            raise StudyError(f"expected the folder of a study to take networks from, found no {RUNS}/ in {other}")
    copied = 0
    for network in config.networks():
        mine = run_folder(folder, network)
        found = (run_folder(other, network) for other in others)
        lender = next((one for one in found if one.is_trained(config.epochs())), None)
        if lender is not None and not mine.is_trained(config.epochs()):
            _copy(lender, mine, config.epochs())
            copied += 1
    return copied


def take_rows(config: StudyConfig, folder: Path, source: Path) -> str:
    """Keep the rows of a run table that are of this study: what they tell is not made again.

    A row is known by its columns ``run`` and ``measuring``: digests of everything that decides its numbers, of the
    network and of the way of measuring it (:meth:`~transect.study.config.NetworkConfig.identity`).

    Args:
        config: The study, with its ``contents``.
        folder: Its folder.
        source: A run table, Parquet or CSV, or a folder with one, such as ``transect study export`` writes.

    Returns:
        A line that says how many rows were taken, and how many were not of this study.

    Raises:
        StudyError: If the table cannot be read, or none of its rows is of this study; says what differs.
    """
    table = source if not source.is_dir() else _table_in(source)
    rows, ways = _read_rows(table), {one.hash() for one in config.measurings()}
    mine: dict[str, dict[str, Row]] = {network.hash(): {} for network in config.networks()}
    for row in rows:
        if row["run"] in mine and row["measuring"] in ways:
            mine[row["run"]][row["measuring"]] = row
    if not (taken := sum(map(len, mine.values()))):
        raise StudyError("\n".join([f"no row of {table} is of this study:", *_what_differs(config, table)]))
    for network in config.networks():
        place = run_folder(folder, network)
        if new := [row for way, row in mine[network.hash()].items() if way not in place.read_rows()]:
            kept = [*place.read_rows().values(), *new]
            write_table(make_table(kept, with_settings(RUN_SCHEMA, kept)), place.rows, csv=False)
    others = f"; {len(rows) - taken} are of other networks or ways of measuring" if len(rows) > taken else ""
    return f"{taken} of {len(rows)} rows taken from {table}{others}."


def _table_in(folder: Path) -> Path:
    found = [file for file in (folder / TABLE, (folder / TABLE).with_suffix(".csv")) if file.exists()]
    if not found:
        raise StudyError(f"expected a run table in {folder}, found no {TABLE} and no {Path(TABLE).stem}.csv")
    return found[0]


def _read_rows(file: Path) -> list[Row]:
    """The rows of a run table; of CSV, whose columns have no types, those that every run table has."""
    if file.suffix != ".csv":
        whole: list[Row] = read_table(file, RUN_SCHEMA).to_pylist()
        return whole
    types = {field.name: field.type for field in RUN_SCHEMA}
    try:
        options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
        found = pyarrow.csv.read_csv(file, convert_options=options).to_pylist()
        rows: list[Row] = make_table(found, with_settings(RUN_SCHEMA, found)).to_pylist()
    except (OSError, pa.ArrowException, StudyError) as error:
        raise StudyError(f"cannot read the table {file}: {error}") from error
    return rows


def _what_differs(config: StudyConfig, table: Path) -> list[str]:
    beside = table.parent / CONFIGURATION
    if not beside.exists():
        return [f"  what differs cannot be told without the {CONFIGURATION} of its study beside it"]
    try:
        theirs = StudyConfig.parse(json.loads(beside.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise StudyError(f"cannot read {beside}: {error}") from error
    lines = (
        []
        if _hashes(config.networks()) & _hashes(theirs.networks())
        else differences(config.networks()[0].identity(), theirs.networks()[0].identity())
    )
    if not lines:
        ours, others = (one.measurings()[0].model_dump(mode="json") for one in (config, theirs))
        lines = differences(ours, others)
    return [f"  {line}" for line in lines]


def _hashes(networks: Sequence[NetworkConfig]) -> set[str]:
    return {network.hash() for network in networks}


def _copy(lender: RunFolder, mine: RunFolder, epochs: Sequence[int | str]) -> None:
    weights = [lender.weights(epoch) for epoch in epochs]
    for file in (*weights, lender.settings, lender.evaluation):  # the last one says that the others are there
        if file.exists():  # a network from a checkpoint has no weights of its own
            with replacing(mine.path / file.name) as temporary:
                shutil.copyfile(file, temporary)
