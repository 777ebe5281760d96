"""A study: all its runs on worker processes, kept as they finish, joined to one table."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from transect.errors import StudyError
from transect.execution import Job, Outcome, ProgressCallback, raise_failures, run_jobs
from transect.storage.atomic import remove_leftovers, write_text
from transect.storage.tables import RUN_SCHEMA, TIMING_SCHEMA, read_table, write_table
from transect.study.config import RunKey, StudyConfig
from transect.study.data.load import load_data
from transect.study.measuring import Measure, measure_paths
from transect.study.run import ERROR, ROWS, TIMINGS, RunTask, is_finished, run
from transect.study.settings import differences

CONFIGURATION, RUNS = "study.json", "runs"
TABLE, TIMING_TABLE = "table.parquet", "timings.parquet"


def run_study(
    config: StudyConfig,
    folder: str | os.PathLike[str],
    workers: int = 2,
    progress: ProgressCallback | None = None,
    cache: Path | None = None,
    measure: Measure = measure_paths,
) -> Path:
    """Do every run of a study that is not finished yet and write the table of all.

    Interrupted in any way, the study goes on from what is on the disk when it is called again: finished runs are kept,
    a run in training resumes from its last checkpoint, and the table is the same, bit for bit, on one machine. Widths
    and seeds may be added between calls; every other setting must stay, but for ``checkpoint_every``.

    Worker processes are spawned: a script that calls this must do so under ``if __name__ == "__main__":``.

    Args:
        config: The study.
        folder: Where everything goes: ``study.json``, ``runs/``, ``table.parquet`` and ``.csv`` (one row per width,
            seed and split), ``timings.parquet`` and ``.csv``.
        workers: Runs at a time, each on a process with one thread.
        progress: Hears of everything that happens to a run; keys are ``str(RunKey)``.
        cache: Folder of the data cache; None for the default one.
        measure: The measuring function; importable by its name.

    Returns:
        Path of the run table, ``folder/table.parquet``.

    Raises:
        StudyError: If the folder holds another study, the data cannot be made, or runs have failed (the others are
            finished and kept; the message lists the failures, ``error.txt`` of a run has its traceback).
    """
    folder = Path(folder)
    _claim(folder, config)
    load_data(config.data, cache)  # once here, so that the workers find it in the cache
    _do_runs(config, folder, workers, progress, cache, measure)
    _join(config, folder, TIMINGS, TIMING_SCHEMA, TIMING_TABLE)
    return _join(config, folder, ROWS, RUN_SCHEMA, TABLE)


def run_folder(folder: Path, config: StudyConfig, key: RunKey) -> Path:
    """Where a run of a study keeps its files."""
    return folder / RUNS / config.run_folder(key)


def _do_runs(
    config: StudyConfig,
    folder: Path,
    workers: int,
    progress: ProgressCallback | None,
    cache: Path | None,
    measure: Measure,
) -> None:
    keys = config.runs()
    finished = [key for key in keys if is_finished(run_folder(folder, config, key))]
    waiting = sorted(set(keys) - set(finished), key=lambda key: (-key.width, key.seed))  # the longest first
    tasks = [RunTask(config, key, run_folder(folder, config, key), cache, measure) for key in waiting]
    jobs = [Job(str(task.key), run, (task,)) for task in tasks]
    with closing(run_jobs(jobs, workers, progress, kept=[str(key) for key in finished])) as outcomes:
        ended = list(outcomes)
    _keep_errors(ended, {str(task.key): task.folder for task in tasks})
    raise_failures(ended, "Finished runs are kept; call again to retry the failed ones.")


def _keep_errors(ended: list[Outcome], folders: dict[str, Path]) -> None:
    """Keep the traceback of every failure with its run: the message alone does not say where it happened."""
    for outcome in ended:
        if outcome.details:
            write_text(folders[outcome.key] / ERROR, outcome.details)


def _claim(folder: Path, config: StudyConfig) -> None:
    """Write down whose folder this is, or make sure that it is this study's."""
    path = folder / CONFIGURATION
    if path.exists():
        _refuse_other_study(_read_configuration(path), config, folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    write_text(path, json.dumps(config.model_dump(mode="json"), indent=2) + "\n")


def _read_configuration(path: Path) -> StudyConfig:
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return StudyConfig.parse(given)
    except (ValueError, StudyError) as error:
        raise StudyError(
            f"cannot read the configuration {path} of an earlier study: {error}; use another folder"
        ) from error


def _refuse_other_study(theirs: StudyConfig, ours: StudyConfig, folder: Path) -> None:
    lines = differences(ours.run_settings(), theirs.run_settings())
    if lines:
        raise StudyError(
            "\n".join([f"{folder} holds a study of another configuration:", *(f"  {line}" for line in lines)])
            + "\nUse another folder, or delete this one to start anew."
        )


def _join(config: StudyConfig, folder: Path, part: str, schema: pa.Schema, name: str) -> Path:
    tables = [read_table(run_folder(folder, config, key) / part, schema) for key in config.runs()]
    return write_table(pa.concat_tables(tables), folder / name)
