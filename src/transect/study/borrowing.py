"""Networks that another study has trained already, and rows that another machine has made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from transect.errors import StudyError
from transect.storage.atomic import replacing
from transect.storage.tables import make_table, read_table, with_settings, write_table
from transect.study.columns import RUN_SCHEMA
from transect.study.config import NetworkConfig, StudyConfig
from transect.study.folders import CONFIGURATION, RUNS, TABLE, RunFolder, run_folder
from transect.study.settings import differences

Row = dict[str, Any]


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
        return read_table(file, RUN_SCHEMA).to_pylist()
    types = {field.name: field.type for field in RUN_SCHEMA}
    try:
        options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
        found = pyarrow.csv.read_csv(file, convert_options=options).to_pylist()
        return make_table(found, with_settings(RUN_SCHEMA, found)).to_pylist()
    except (OSError, pa.ArrowException, StudyError) as error:
        raise StudyError(f"cannot read the table {file}: {error}") from error


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
