"""The tables of a study, from what its runs have finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from transect.storage.tables import make_table, read_table, with_settings, write_table
from transect.study.columns import PART_SCHEMA, PATH_SCHEMA, RUN_SCHEMA, TIMING_SCHEMA
from transect.study.config import MeasuringConfig, StudyConfig
from transect.study.folders import PATH_TABLE, TABLE, TIMING_TABLE, RunFolder, blocks, run_folder
from transect.study.summary import (
    evaluation_columns,
    measuring_columns,
    network_columns,
    summed_up,
    with_scaled,
)

Row = dict[str, Any]


def write_tables(config: StudyConfig, folder: Path, to: Path | None = None) -> tuple[Path, ...]:
    """Write the run table, the path table and the timings of all that is finished, as Parquet and CSV.

    Rows are in the order of the study: network by network, for each its ways of measuring. One that is not finished
    has no rows; one whose row was taken from elsewhere has no paths and timings.

    Args:
        config: The study.
        folder: Its folder.
        to: Where the tables go; the same folder where None.

    Returns:
        The Parquet files.

    Raises:
        StudyError: If a file of a run is damaged.
    """
    to = folder if to is None else to
    runs: list[Row] = []
    paths: list[Row] = []
    timings: list[Row] = []
    swept, swept_ways = config.swept()
    for (network, label), variant, settings in zip(config.labels(), config.variants(), swept, strict=True):
        found = run_folder(folder, network)
        given, trained = found.read_rows(), found.is_trained(config.epochs())
        common = network_columns(config.name, network, label, variant)
        common |= _with_numbers(settings, found.read_evaluation().get("samples", {})) if trained else settings
        for measuring, way, how in zip(config.measurings(), config.way_names(), swept_ways, strict=True):
            if (row := given.get(measuring.hash())) is not None:
                runs.append(_given(row, common | measuring_columns(measuring, row["epoch"], way) | how))
            elif trained and not found.missing_parts(measuring):
                of_run, of_paths, timing = _rows(common | how, found, measuring, way)
                runs.append(of_run)
                paths += of_paths
                timings.append(timing)
    return (
        _written(timings, TIMING_SCHEMA, to / TIMING_TABLE),
        _written(paths, PATH_SCHEMA, to / PATH_TABLE),
        _written(runs, RUN_SCHEMA, to / TABLE),
    )


def _written(rows: Sequence[Row], schema: pa.Schema, to: Path) -> Path:
    return write_table(make_table(rows, with_settings(schema, rows)), to)


def _given(row: Row, identity: Row) -> Row:
    """A row that was taken from elsewhere, called as it is in this study."""
    measured = {name: row[name] for name in RUN_SCHEMA.names if name not in identity}
    numbers = {name: row.get(name) for name, value in identity.items() if value is None and name.endswith("_samples")}
    return measured | identity | numbers


def _with_numbers(settings: Row, known: Mapping[str, int]) -> Row:
    """``all`` samples become their number."""
    numbers = {f"data.{part}_samples": number for part, number in known.items()}
    return {name: numbers.get(name) if value is None else value for name, value in settings.items()}


def _rows(common: Row, folder: RunFolder, measuring: MeasuringConfig, way: str) -> tuple[Row, list[Row], Row]:
    evaluation = folder.read_evaluation()
    epoch = measuring.measures.epoch
    identity = common | measuring_columns(measuring, evaluation["epochs"][str(epoch)]["epoch"], way)
    known = evaluation_columns(evaluation, epoch, measuring.paths.split)
    parts = [read_table(folder.part(measuring, index), PART_SCHEMA) for index in range(len(blocks(measuring)))]
    rows = [row for part in parts for row in part.to_pylist()]
    seconds = sum(row.pop("seconds") for row in rows)
    rows = with_scaled(rows, known["logit_std"])
    timing = identity | {"train_seconds": evaluation["train_seconds"], "measure_seconds": seconds}
    return identity | known | summed_up(rows), [identity | row for row in rows], timing
